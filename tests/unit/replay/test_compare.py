"""What of a block that was computed again is sent, and with which version."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson
from msgspec.structs import replace

from app.dedupe import Fate, Known, digest_of, fate
from app.model.keys import version_of
from app.model.signal import Signal, SignalBatch
from app.processors.history import History, Past
from app.processors.run import PROVIDER, Ran
from app.replay.blocks import Found
from app.replay.compare import Block, changes, left_behind
from app.replay.followed import Followed
from app.replay.tally import Tally

NOW = datetime(2026, 2, 1, tzinfo=UTC)
HASH = "aa" * 32
FOUND = Found("BTC", 7, HASH, None, "2026-01-01T00:00:00.000007Z", False, 1_000, 3, "c", True)
LIVE = 5_000_000
"""A version that the live pipeline gave, long after the block's record came."""


def signal(name: str, value: float = 1.0, window: int = 5, **fields: Any) -> Signal:
    metadata = msgspec.Raw(orjson.dumps({"window": window, **fields.pop("more", {})}))
    made = Signal(name=name, value=value, signal_type=name.partition(".")[0], metadata=metadata, **fields)
    return replace(made, block_hash=HASH)


def known(*signals: Signal, version: int = LIVE) -> dict[str, Signal]:
    for each in signals:
        each.version, each.digest = version, digest_of(each)
    return {each.name: each for each in signals}


def block(*signals: Signal, length: int = 5, short: tuple[str, ...] = ()) -> Block:
    batch = SignalBatch(provider=PROVIDER, symbol="BTC", ts=FOUND.ts, signals=[*signals])
    return Block(FOUND, Ran(batch, Past(height=7, hash=HASH)), length, short, {"miner", "whale"})


def compared(again: Block, before: dict[str, Signal], *, allow_cold: bool = False) -> tuple[Any, Tally]:
    tally = Tally()
    return changes(again, before, tally, NOW, allow_cold=allow_cold), tally


def test_the_same_is_not_sent() -> None:
    batch, tally = compared(block(signal("miner.a")), known(signal("miner.a")))
    assert batch is None
    assert tally.total() == {"unchanged": 1}


def test_another_value_beats_what_is_known_and_nothing_that_happens_later() -> None:
    before = known(signal("miner.a"), signal("miner.b"))
    batch, tally = compared(block(signal("miner.a", 2.0), signal("miner.b")), before)
    assert [(s.name, s.value, s.version) for s in batch.signals] == [("miner.a", 2.0, LIVE + 1)]
    assert tally.total() == {"updated": 1, "unchanged": 1}
    (change,) = tally.examples()
    assert (change.key, change.old, change.new) == (f"sigstream|BTC|{FOUND.ts}|miner.a", 1.0, 2.0)
    sent = Known(batch.signals[0].version, batch.signals[0].digest)
    retracted = replace(before["miner.a"], retracted_at=NOW)
    later = Known(version_of(LIVE // 1000 + 1, 0), digest_of(retracted))
    assert fate(sent, later) == (Fate.OLDER, later)


def test_what_nobody_knows_gets_the_version_of_its_block() -> None:
    batch, tally = compared(block(signal("miner.a")), {})
    assert batch.signals[0].version == version_of(1_000, 3) < LIVE
    assert tally.total() == {"inserted": 1}


def test_names_that_are_gone_are_taken_back_where_their_processor_was_run() -> None:
    before = known(signal("miner.a"), signal("miner.b"), signal("other.c"))
    batch, tally = compared(block(signal("miner.a")), before)
    assert [(s.name, s.retracted_at, s.version) for s in batch.signals] == [("miner.b", NOW, LIVE + 1)]
    assert tally.total() == {"unchanged": 1, "retracted": 1}


def test_a_shorter_window_replaces_nothing_unless_it_may() -> None:
    before = known(signal("miner.a", window=144), signal("miner.gone", window=144), signal("whale.b"))
    again = block(signal("miner.a", 2.0), signal("whale.b", 3.0))
    batch, tally = compared(again, before)
    assert [s.name for s in batch.signals] == ["whale.b"]
    assert tally.total() == {"cold": 2, "updated": 1}
    batch, tally = compared(again, before, allow_cold=True)
    assert tally.total() == {"updated": 2, "retracted": 1}


def test_fewer_blocks_of_a_longer_window_are_cold_too() -> None:
    before = known(signal("miner.mpi", more={"blocks": 900}), signal("whale.b"))
    again = block(signal("miner.mpi", 2.0, more={"blocks": 200}), signal("whale.b", 2.0), short=("whale",))
    batch, tally = compared(again, before)
    assert batch is None
    assert tally.total() == {"cold": 2}


def test_what_was_taken_back_comes_back_with_any_window() -> None:
    before = known(signal("miner.a", window=144, retracted_at=NOW))
    batch, tally = compared(block(signal("miner.a")), before)
    assert [s.name for s in batch.signals] == ["miner.a"]
    assert tally.total() == {"updated": 1}


def test_a_signal_that_can_not_be_stored_is_refused_with_its_reason() -> None:
    _, tally = compared(block(signal("miner.a", float("nan"))), {})
    assert tally.total() == {"rejected": 1}
    assert "`value` is nan" in tally.reasons["miner.a"]


def test_what_is_left_of_a_block_that_left_the_chain_is_taken_back() -> None:
    tally = Tally()
    before = known(signal("miner.a", retracted_at=NOW), signal("miner.b"))
    before |= known(replace(signal("miner.c"), block_hash="bb" * 32))
    batch = left_behind(FOUND, before, tally, NOW)
    assert batch is not None
    assert [(s.name, s.retracted_at, s.version) for s in batch.signals] == [("miner.b", NOW, LIVE + 1)]
    assert left_behind(FOUND, known(signal("miner.a", retracted_at=NOW)), tally, NOW) is None


def test_a_history_knows_who_has_looked_further_back_than_it_goes() -> None:
    pasts = [Past(height=height, hash=str(height)) for height in range(5)]
    history = Followed(pasts)
    assert isinstance(history, History)
    history.values("miner.a", 5)
    history.traces("whale", 6)
    history.state("predictive")
    assert history.too_short_for() == {"whale", "predictive"}
    history.values("miner.a")
    assert history.too_short_for() == {"whale", "predictive", "miner"}
