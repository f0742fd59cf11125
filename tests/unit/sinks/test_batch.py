"""When a sink writes: enough signals, bytes or age; whole records; and what a revoke takes away."""

from dataclasses import replace

import pytest

from app.config import Settings
from app.sinks.base import SinkRecord
from app.sinks.batch import Batch, Entry
from app.sinks.offsets import Owned
from app.streaming.record import Record
from tests.support.signals import batch_of

OWNED = Owned(0)


def settings(**limits: int) -> Settings:
    return Settings(_env_file=None, **{f"sink_batch_{name}": value for name, value in limits.items()})  # type: ignore[arg-type]


def entry(offset: int, names: int = 3, partition: int = 0, size: int = 100) -> Entry:
    record = Record("signals", partition, offset, 0, None, bytes(size), {})
    return Entry(record, offset, SinkRecord(partition, offset, batch_of(offset, names), size), OWNED)


def offsets(entries: list[Entry]) -> list[int]:
    return [found.record.offset for found in entries]


def test_full_by_signals_takes_whole_records_and_leaves_the_rest() -> None:
    batch = Batch(settings(signals=5))
    for offset in range(4):
        batch.add(entry(offset))
    assert batch.full
    assert offsets(batch.take()) == [0, 1]
    assert offsets(batch.take()) == [2, 3]
    assert batch.take() == []


def test_full_by_bytes() -> None:
    batch = Batch(settings(bytes=250))
    batch.add(entry(0))
    assert not batch.full
    batch.add(entry(1, size=200))
    assert batch.full


def test_full_by_bytes_that_are_not_written() -> None:
    """A backlog of repeats is held, too, until it is committed."""
    batch = Batch(settings(bytes=250))
    for offset in range(3):
        batch.add(replace(entry(offset), content=None))
    assert batch.full
    assert offsets(batch.take()) == [0, 1, 2]


def test_due_by_age_of_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("app.sinks.batch.time.monotonic", lambda: now)
    batch = Batch(settings(age_ms=200, idle_ms=1000))
    assert batch.wait_s == pytest.approx(0.2)
    batch.add(entry(0))
    now = 100.15
    batch.add(entry(1))
    assert batch.wait_s == pytest.approx(0.05)
    now = 100.2
    assert batch.wait_s == 0


def test_due_when_nothing_more_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("app.sinks.batch.time.monotonic", lambda: now)
    batch = Batch(settings(age_ms=200, idle_ms=20))
    batch.add(entry(0))
    now = 100.015
    batch.add(entry(1))
    assert batch.wait_s == pytest.approx(0.02)
    now = 100.035
    assert batch.wait_s == pytest.approx(0.0)


def test_repeats_count_for_nothing_but_are_committed_with_the_rest() -> None:
    batch = Batch(settings(signals=3))
    repeat = Entry(Record("signals", 0, 0, 0, None, b"", {}), 0, None, OWNED)
    batch.add(repeat)
    assert not batch.full
    assert batch.take() == [repeat]


def test_drop_forgets_revoked_partitions() -> None:
    batch = Batch(settings())
    batch.add(entry(0, partition=1))
    batch.add(entry(1, partition=2))
    batch.drop({1})
    assert offsets(batch.take()) == [1]
