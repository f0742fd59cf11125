"""A chain's signals end the same, whatever order its blocks come in."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.chain.tracker import CONFIRMATIONS, KEEP, MAX_JUMP, PATIENCE, REACH, Patience
from app.errors import ContractError
from app.model.features import BlockFeatures
from app.model.signal import Signal, SignalBatch
from app.pipeline.chain import Effects, in_parts
from app.pipeline.store import ChainStore
from app.processors.base import Metric, Output
from app.processors.history import History
from app.processors.run import Enabled
from tests.support.table import Table

CHAIN = "BTC-SIM"
GENESIS = 1_700_000_000


class Witness:
    """A value that depends on the block and on every block of its window, in order."""

    name = "witness"

    def process(self, features: BlockFeatures, history: History | None) -> Output:
        seen = [past.hash for past in history.pasts] if history else []
        text = "|".join([*seen, features.hash, str(history.missing() if history else -1)])
        value = int(sha256(text.encode()).hexdigest()[:12], 16)
        folded = (history.state(self.name) or 0) if history else 0
        blocks = history.sums(50)[1] if history else 0
        metrics = [
            Metric("witness.window", float(value)),
            Metric("witness.folded", float(folded)),
            Metric("witness.sums", float(blocks)),
        ]
        if features.height % 3 == 0 and seen:  # some names come and go
            metrics.append(Metric(f"witness.odd:{value % 5}", 1.0))
        return Output(
            metrics, trace=features.hash[:4], state=(folded * 31 + value) % 1_000_003, amounts={"n": 1}
        )


PROCESSORS = (Enabled(Witness()),)


def block(
    height: int, branch: str, parent: BlockFeatures | None, *, same_time: bool = False
) -> BlockFeatures:
    hash_ = sha256(f"{height}|{branch}".encode()).hexdigest()
    return BlockFeatures(
        chain=CHAIN,
        height=height,
        hash=hash_,
        previousblockhash=parent.hash if parent else None,
        time=GENESIS + height * 600 + (0 if same_time else sum(map(ord, branch)) % 100),
        tx_count=1,
        weight=1000,
        size=1000,
        total_fee_sat=0,
        subsidy_sat=0,
        coinbase_value_sat=0,
        feerate_percentiles=[],
        coinbase_script="",
        payout_addresses=[],
        transfer_sat=0,
        large_transfers=[],
        coin_days_destroyed=0.0,
    )


def branch(
    name: str, start: BlockFeatures | None, length: int, *, same_time: bool = False
) -> list[BlockFeatures]:
    blocks: list[BlockFeatures] = []
    for _ in range(length):
        parent = blocks[-1] if blocks else start
        height = parent.height + 1 if parent else 0
        blocks.append(block(height, name, parent, same_time=same_time))
    return blocks


@dataclass
class Store:
    """What a store makes of batches: the largest version of each key wins."""

    rows: dict[tuple[str, str], tuple[int, float, bool]] = field(default_factory=dict)

    def take(self, batches: Iterable[SignalBatch]) -> None:
        for batch in batches:
            for signal in batch.signals:
                key = (batch.ts, signal.name)
                mine = (signal.version or 0, signal.value or 0.0, signal.retracted_at is not None)
                known = self.rows.get(key)
                assert known is None or known[0] != mine[0] or known == mine, "two values of one version"
                if known is None or mine[0] > known[0]:
                    self.rows[key] = mine

    def latest(self) -> dict[tuple[str, str], float]:
        return {key: value for key, (_, value, retracted) in self.rows.items() if not retracted}


class Run:
    """A chain, its table and its store. A crash keeps some of an event's writes, and repeats the event."""

    def __init__(self, patience: Patience = PATIENCE, processors: Sequence[Enabled] = PROCESSORS) -> None:
        self.processors = processors
        self.table = Table()
        self.written = ChainStore(self.table, patience)
        self.store = Store()
        self.patience = patience
        self.now_ms = self.ticks = 0
        self.restart()

    def restart(self) -> None:
        self.chain = self.written.load(None, CHAIN, self.processors)

    def send(self, *blocks: BlockFeatures, crash: float | None = None) -> list[Effects]:
        return [self._arrive(features, crash) for features in blocks]

    def _arrive(self, features: BlockFeatures, crash: float | None) -> Effects:
        self.now_ms += 1
        return self._event(
            lambda: self.chain.arrive(features, now_ms=self.now_ms, version=self.now_ms), crash
        )

    def wait(self, crash: float | None = None) -> None:
        """Long enough for every gap that is passed; crashes at every tick would leave no time to wait."""
        while self.chain.tracker.waiting:
            self.ticks += 1
            self.now_ms += self.patience.wait_ms
            event = lambda: self.chain.tick(now_ms=self.now_ms, version=self.now_ms)  # noqa: E731
            self._event(event, crash if self.ticks % 5 in (2, 3) else None)

    def torn(self, event: Callable[[], Effects], kept: int) -> bool:
        """All of an event was sent, so many of its writes are there; then a crash. Whether any was lost."""
        before = dict(self.table.content)
        self.save(event())
        lost = kept < len(self.table.log)
        self.table.content = before
        self.table.apply(self.table.log[:kept])
        self.restart()
        return lost

    def tick(self) -> Effects:
        """Time has passed, enough for a gap."""
        self.now_ms += self.patience.wait_ms
        return self.chain.tick(now_ms=self.now_ms, version=self.now_ms)

    def _event(self, event: Callable[[], Effects], crash: float | None) -> Effects:
        if crash is not None:
            before = dict(self.table.content)
            self.save(event())
            self.table.content = before
            self.table.apply(self.table.log[: int(crash * (len(self.table.log) + 1))])
            self.restart()
        effects = event()
        self.save(effects)
        return effects

    def save(self, effects: Effects) -> None:
        self.store.take(effects.batches)
        self.table.log = []
        self.written.save(None, CHAIN, self.chain, effects, None)

    def heights(self) -> list[int]:
        return [node.height for node in self.chain.tracker.path()][::-1]


def delivered(blocks: Sequence[BlockFeatures]) -> dict[tuple[str, str], float]:
    run = Run()
    run.send(*blocks)
    run.wait()
    return run.store.latest()


def test_blocks_in_order() -> None:
    run = Run()
    effects = run.send(*branch("a", None, 5))
    assert [len(effect.batches) for effect in effects] == [1] * 5
    assert run.heights() == [0, 1, 2, 3, 4]


def test_a_reorganisation_retracts_the_orphans_and_keeps_the_branch_s_history() -> None:
    main = branch("a", None, 10)
    other = branch("b", main[6], 5)
    run = Run()
    run.send(*main, *other)
    assert run.store.latest() == delivered([*main[:7], *other])
    gone = {key for key, row in run.store.rows.items() if row[2]}
    assert {ts for ts, _ in gone} == {e.batches[0].ts for e in Run().send(*main)[7:]}


def test_a_chain_that_returns_gets_its_signals_back() -> None:
    main = branch("a", None, 8)
    other = branch("b", main[5], 3)
    back = branch("a2", main[-1], 2)
    run = Run()
    run.send(*main, *other, *back)
    assert run.store.latest() == delivered([*main, *back])


def test_orphan_and_successor_may_have_the_same_ts() -> None:
    main = branch("a", None, 6, same_time=True)
    other = branch("b", main[3], 4, same_time=True)
    run = Run()
    run.send(*main, *other)
    assert run.store.latest() == delivered([*main[:4], *other])


@pytest.mark.parametrize("depth", [1, 6, 100])
def test_a_reorganisation_of_any_depth(depth: int) -> None:
    main = branch("a", None, 150)
    other = branch("b", main[149 - depth], depth + 1)
    run = Run()
    run.send(*main)
    (effects,) = [e for e in run.send(*other) if e.retracted]
    assert len(effects.retracted) == depth
    assert run.store.latest() == delivered([*main[: 150 - depth], *other])


def test_a_gap_is_passed_with_lower_completeness_and_filled_later() -> None:
    main = branch("a", None, 12)
    run = Run()
    run.send(*main[:5], *main[7:])
    assert run.heights() == [0, 1, 2, 3, 4]
    assert [(gap.first, gap.last, gap.hash) for gap in run.chain.tracker.wanted()] == [(5, 6, main[6].hash)]
    run.wait()
    assert run.heights() == [0, 1, 2, 3, 4, 7, 8, 9, 10, 11]
    assert run.chain.entries[main[7].hash].node.missing == 2
    run.send(main[6])
    assert run.heights() == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    run.send(main[5])
    assert run.store.latest() == delivered(main)


def test_a_block_in_the_middle_of_a_passed_gap_finds_its_place() -> None:
    main = branch("a", None, 12)
    run = Run()
    run.send(*main[:3], *main[8:])
    run.wait()
    run.send(main[5])
    run.wait()
    assert run.heights() == [0, 1, 2, 5, 8, 9, 10, 11]
    run.send(*main[3:5], *main[6:8])
    assert run.store.latest() == delivered(main)


def test_a_chain_that_starts_in_the_middle_begins_at_its_lowest_block() -> None:
    main = branch("a", None, 30)
    run = Run()
    run.send(main[22], main[20], main[21])
    assert run.heights() == []
    run.wait()
    assert run.heights() == [20, 21, 22]
    run.send(main[19])
    assert run.store.latest() == delivered(main[19:23])


def test_a_block_that_comes_again_is_sent_again() -> None:
    main = branch("a", None, 4)
    run = Run()
    first = run.send(*main)[2].batches[0]
    (again,) = run.send(main[2])
    assert [(s.name, s.value) for s in again.batches[0].signals] == [(s.name, s.value) for s in first.signals]
    assert again.entries == []


def test_an_orphan_that_comes_again_stays_one() -> None:
    main = branch("a", None, 6)
    other = branch("b", main[3], 4)
    run = Run()
    run.send(*main, *other)
    (again,) = run.send(main[5])
    assert again.batches == []


def test_a_jump_of_ten_million_is_refused_and_changes_nothing() -> None:
    main = branch("a", None, 5)
    run = Run()
    run.send(*main)
    far = msgspec.structs.replace(main[4], height=4 + MAX_JUMP + 1, hash="f" * 64)
    with pytest.raises(ContractError, match="above the chain's tip"):
        run.send(far)
    run.wait()
    assert run.heights() == [0, 1, 2, 3, 4]


def test_what_comes_too_late_is_computed_without_history() -> None:
    main = branch("a", None, REACH + 300)
    run = Run()
    run.send(*main[:5], *main[6:])
    run.wait()
    (effects,) = run.send(main[5])
    assert effects.too_late
    assert [s.confidence for s in effects.batches[0].signals] == [0.0] * 3


def test_memory_is_bounded() -> None:
    run = Run()
    run.send(*branch("a", None, KEEP + 400))
    stored = list(run.table.items(f"{CHAIN}|block|".encode()))
    assert len(run.chain.entries) == len(run.chain.tracker.nodes) == len(stored) <= KEEP + 101


def history_of(rng: Random) -> tuple[list[BlockFeatures], list[BlockFeatures]]:
    """Blocks in the order of a node that sees everything, and the same in another order, some twice."""
    names = count()
    chain = branch("m", None, rng.randrange(3, 12))
    seen = list(chain)
    for _ in range(rng.randrange(0, 5)):
        depth = rng.randrange(1, min(6, len(chain) - 1) + 1)
        fork = chain[-depth - 1]
        longer = branch(f"r{next(names)}", fork, depth + 1, same_time=rng.random() < 0.3)
        seen += longer
        chain = [*chain[:-depth], *longer]
        more = branch(f"x{next(names)}", chain[-1], rng.randrange(0, 6))
        seen += more
        chain += more
    mixed = [*seen, *rng.choices(seen, k=rng.randrange(0, 5))]
    rng.shuffle(mixed)
    return seen, mixed


SOME = st.sets(st.integers(0, 60), max_size=5)
CUTS = st.dictionaries(st.integers(0, 60), st.floats(0, 1), max_size=4)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 2**32), SOME, CUTS, st.sampled_from([PATIENCE, Patience(blocks=3)]))
def test_any_order_any_gaps_and_crashes_end_the_same(
    seed: int, waits: set[int], crashes: dict[int, float], patience: Patience
) -> None:
    perfect, mixed = history_of(Random(seed))
    run = Run(patience)
    for number, features in enumerate(mixed):
        run.send(features, crash=crashes.get(number))
        if number in waits:
            run.wait(crash=crashes.get(number))
    run.wait()
    assert run.store.latest() == delivered(perfect)


@pytest.mark.parametrize("crash", [number / 12 for number in range(13)])
def test_a_crash_in_the_middle_of_filling_a_gap(crash: float) -> None:
    main = branch("a", None, 12)
    run = Run()
    run.send(*main[:4], *main[6:])
    run.wait(crash=crash)
    assert run.heights() == [0, 1, 2, 3, *range(6, 12)]
    run.send(main[5], crash=crash)
    assert run.heights() == [0, 1, 2, 3, *range(5, 12)]
    run.send(main[4], crash=crash)
    assert run.store.latest() == delivered(main)


@pytest.mark.parametrize("written", range(1, 14))
def test_a_torn_event_stays_taken_back_while_events_before_it_are_done_again(written: int) -> None:
    main = branch("a", None, 12)
    run = Run()
    run.send(*main[:4], *main[5:10])
    before = dict(run.table.content)
    run.send(main[4])
    run.table.content = before
    run.table.apply(run.table.log[:written])
    run.restart()
    run.now_ms = 3  # as the broker says of records that are read again
    run.send(main[3], main[2])
    run.restart()
    run.send(main[4], *main[10:])
    assert run.store.latest() == delivered(main)


@pytest.mark.parametrize("crash", [number / 6 for number in range(7)])
def test_a_crash_while_one_of_several_gaps_is_passed(crash: float) -> None:
    main, other = branch("a", None, 20), branch("b", None, 20)
    scattered = [main[2], main[11], main[13], other[14], main[18]]
    run = Run()
    run.send(*scattered)
    run.wait(crash=crash)
    whole = Run()
    whole.send(*scattered)
    whole.wait()
    assert run.heights() == whole.heights()
    assert run.store.latest() == whole.store.latest()


def test_a_gap_with_a_long_backlog_behind_it_keeps_the_history() -> None:
    main = branch("a", None, KEEP + 400)
    run = Run()
    run.send(*main[:300], *main[301:])
    run.wait()
    assert run.chain.entries[main[-1].hash].past is not None
    assert run.chain.entries[main[-1].hash].past.blocks == len(main) - 1  # type: ignore[union-attr]
    late = Run()
    late.send(*main[:300], *main[301 : 301 + 1900], main[300])
    assert late.store.latest() == delivered(main[:2201])


@pytest.mark.parametrize("depth", [250, 1000])
def test_a_deep_reorganisation_has_the_whole_window_below_it(depth: int) -> None:
    main = branch("a", None, 2500)
    other = branch("b", main[2499 - depth], depth + 1)
    run = Run()
    run.send(*main, *other)
    assert run.store.latest() == delivered([*main[: 2500 - depth], *other])


def test_a_reorganisation_across_a_passed_gap_from_the_top_down() -> None:
    main = branch("m", None, 40)
    a = branch("a", main[29], 2)
    b = branch("b", main[29], 5)  # heights 30 to 34
    run = Run()
    run.send(*main[:30], *a, b[3])
    run.wait()
    run.send(b[2], b[1])
    assert run.heights()[:28] == list(range(28))
    run.send(b[0], b[4])
    assert run.store.latest() == delivered([*main[:30], *b])


def test_what_is_out_of_reach_and_known_is_left_alone() -> None:
    main = branch("a", None, KEEP + 300)
    run = Run()
    run.send(*main)
    before = run.store.latest()
    (effects,) = run.send(main[10])
    (orphan,) = run.send(block(10, "other", main[9]))
    assert effects.batches == orphan.batches == []
    assert run.store.latest() == before


@pytest.mark.parametrize(
    "bad",
    [
        lambda main: msgspec.structs.replace(main[4], hash="f" * 64, previousblockhash="f" * 64),
        lambda main: msgspec.structs.replace(main[4], hash="f" * 64, height=9),
        lambda main: msgspec.structs.replace(main[4], hash="f" * 64, height=2),
        lambda main: msgspec.structs.replace(main[4], hash="f" * 64, height=0),
    ],
    ids=["its own parent", "too high", "too low", "first with a parent"],
)
def test_a_height_that_contradicts_the_parent_is_refused(bad: Callable[[list[BlockFeatures]], Any]) -> None:
    main = branch("a", None, 6)
    run = Run()
    run.send(*main[:5])
    with pytest.raises(ContractError):
        run.send(bad(main))
    run.send(main[5])
    assert run.store.latest() == delivered(main)


def test_a_stray_block_far_above_does_not_end_the_chain() -> None:
    main = branch("a", None, 8)
    far = msgspec.structs.replace(main[7], height=50_000, hash="e" * 64, previousblockhash="d" * 64)
    run = Run()
    run.send(*main[:5], far)
    run.wait()
    run.send(*main[5:])
    assert run.heights() == list(range(8))
    run.send(*branch("f", far, CONFIRMATIONS))
    run.wait()
    assert run.heights()[-1] == 50_000 + CONFIRMATIONS


def test_more_names_than_a_record_holds_are_sent_in_parts() -> None:
    many = SignalBatch(
        provider="p", symbol="S", ts="t", signals=[Signal(name=str(n), value=1.0) for n in range(2500)]
    )
    assert [len(part.signals) for part in in_parts(many)] == [1000, 1000, 500]


class Flaky(Witness):
    """Fails while it is told to."""

    fails = False

    def process(self, features: BlockFeatures, history: History | None) -> Output:
        if self.fails:
            raise ZeroDivisionError
        return super().process(features, history)


def test_a_block_that_a_processor_failed_on_is_computed_again_when_it_comes_again() -> None:
    main = branch("a", None, 8)
    flaky = Flaky()
    run = Run(processors=[Enabled(flaky)])
    run.send(*main[:4])
    flaky.fails = True
    (failed,) = run.send(main[4])
    assert failed.batches[0].signals == []
    flaky.fails = False
    run.send(*main[5:])
    assert run.chain.entries[main[5].hash].past is not None
    run.send(main[4])
    assert run.store.latest() == delivered(main)


def about_to_pass(*blocks: BlockFeatures) -> Run:
    """A chain whose next tick passes a gap."""
    run = Run()
    run.send(*blocks)
    while not run.chain.tracker.resolved:
        assert run.tick().passed == 0
        run.save(Effects())
    return run


@pytest.mark.parametrize("kept", [0, 1, 3, 6, 9, 10_000])
def test_a_gap_that_a_crash_has_torn_is_passed_again_before_anything_else(kept: int) -> None:
    """Blocks 5 and 6 of one branch were retracted for another; behind the crash, theirs grows."""
    main = branch("a", None, 12)
    other = branch("b", main[4], 4)
    blocks = [*main[:7], *other[1:]]
    run = about_to_pass(*blocks)
    assert run.torn(run.tick, kept) == (kept < 10_000)
    run.save(run.tick())
    run.send(*main[7:], other[0])
    assert run.store.latest() == delivered([*main, *other])


def test_an_earlier_tick_that_comes_again_passes_nothing() -> None:
    """Between it and the one that resolved to pass, a block may have come."""
    main = branch("a", None, 12)
    run = about_to_pass(*main[:5], *main[6:])
    run.restart()
    for earlier in (1, 0):
        version = run.chain.tracker.resolved - earlier
        assert run.chain.tick(now_ms=run.now_ms, version=version).passed == 0
    assert run.tick().passed == 1


@pytest.mark.parametrize("first", ["b", "c"])
def test_of_two_branches_that_come_at_once_the_tip_is_the_same_after_a_restart(first: str) -> None:
    main = branch("a", None, 6)
    branches = {name: branch(name, main[5], 3) for name in ("b", "c")}
    run = Run()
    run.send(*main[:5], *branches[first], *branches["c" if first == "b" else "b"])
    run.send(main[5], crash=0.0)
    tip, other = sorted(branches.values(), key=lambda blocks: blocks[-1].hash)
    assert run.chain.tracker.tip == tip[-1].hash
    assert run.store.latest() == delivered([*main, *tip, *other])


@pytest.mark.parametrize("kept", [0, 2, 10_000])
def test_names_of_a_torn_gap_go_when_it_is_filled(kept: int) -> None:
    main = branch("a", None, 16)
    run = about_to_pass(*main[:5], *main[6:])
    run.torn(run.tick, kept)
    run.save(run.tick())
    run.send(main[5])
    assert run.store.latest() == delivered(main)


@pytest.mark.parametrize("kept", range(16))
def test_a_failed_block_whose_second_computation_was_torn_is_computed_a_third_time(kept: int) -> None:
    main = branch("a", None, 10)
    flaky = Flaky()
    run = Run(processors=[Enabled(flaky)])
    run.send(*main[:4])
    flaky.fails = True
    run.send(main[4])
    flaky.fails = False
    run.send(*main[5:8])
    run.now_ms += 1
    now = run.now_ms
    run.torn(lambda: run.chain.arrive(main[4], now_ms=now, version=now), kept)
    run.save(run.chain.arrive(main[4], now_ms=now, version=now))
    run.send(*main[8:])
    assert run.store.latest() == delivered(main)
