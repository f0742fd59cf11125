"""What a replay keeps while it runs: known signals, counts, records before a write."""

from datetime import UTC, datetime

import msgspec
from prometheus_client import REGISTRY

from app.config import Settings
from app.model.signal import Signal, SignalBatch
from app.query.signals import ts_of
from app.replay.job import Mark, Place
from app.replay.records import Held
from app.replay.spool import spool
from app.replay.stored import signal_of
from app.replay.tally import EXAMPLES, Change, Tally
from app.replay.watch import Counted
from app.sinks.base import SinkRecord

TS = "2026-01-01T00:00:00.000000Z"


def test_the_spool_keeps_the_latest_version() -> None:
    with spool() as held:
        for version, digest in ((2, 5), (3, 1), (3, 0), (1, 9)):
            held.add_signals(TS, [Signal(name="a", value=float(version), version=version, digest=digest)])
        found = held.signals(TS)["a"]
        assert (found.value, found.version, found.digest) == (3.0, 3, 1)
        assert held.times() == {TS}
        assert held.signals("another") == {}


def test_rows_of_all_stores_become_the_same_signal() -> None:
    when = datetime(2026, 1, 1, tzinfo=UTC)
    row = dict.fromkeys(("score", "confidence", "signal_type", "block_height", "block_hash", "retracted_at"))
    row |= {"name": "a", "version": 2, "digest": 3, "value": 1.0}
    of_sqlite = {**row, "ts": TS, "block_time": TS, "metadata": '{"window":5}'}
    of_bigquery = {**row, "ts": when, "block_time": when, "metadata": {"window": 5}}
    expected = Signal(
        name="a", version=2, digest=3, value=1.0, block_time=when, metadata=msgspec.Raw(b'{"window":5}')
    )
    assert signal_of(of_sqlite) == signal_of(of_bigquery) == expected
    assert ts_of(of_sqlite) == ts_of(of_bigquery) == TS


def test_a_tally_counts_all_and_shows_some() -> None:
    tally = Tally()
    for number in range(EXAMPLES + 2):
        tally.show("a", Change(f"k{number}", "updated", 1.0, 2.0))
    tally.count("b", "unchanged")
    assert tally.total() == {"updated": EXAMPLES + 2, "unchanged": 1}
    assert len(tally.examples()) == EXAMPLES


def test_a_write_takes_as_much_as_a_worker_s() -> None:
    held = Held(Settings(_env_file=None, sink_batch_signals=3))
    batch = SignalBatch(provider="p", symbol="S", ts=TS, signals=[Signal(name="a"), Signal(name="b")])
    record = SinkRecord(0, 0, batch, 10)
    states = []
    for found in (record, record):
        held.add(found)
        states.append(held.full)
    assert states == [False, True]
    assert held.take() == [record, record]
    assert held.take() == []
    for _ in range(3):
        held.add(None)
    assert held.full, "so that it says how far it is, where nothing is written"


def test_a_place_is_in_the_unit_of_its_mark() -> None:
    assert Place(7, Mark("j", 0, 7)).done
    assert not Place(6, Mark("j", 0, 7)).done
    assert not Place(0, Mark("j", 5, 9, at=8)).done
    assert Place(0, Mark("j", 5, 9, at=9)).done


class Told:
    """A watch that remembers."""

    def __init__(self) -> None:
        self.done = 0

    def begin(self, what: str, total: int) -> None: ...

    def advance(self, count: int) -> None:
        self.done += count

    def say(self, text: str) -> None: ...


def test_what_is_left_is_a_metric() -> None:
    told = Told()
    watch = Counted(told, "a store")
    watch.begin("a store", 10)
    watch.advance(4)
    assert told.done == 4
    assert REGISTRY.get_sample_value("sigstream_replay_left", {"target": "a store"}) == 6
