"""Receipts added up: once a sink and record, whatever is sent again."""

from datetime import UTC, datetime

import msgspec
import pytest

from app.backfill.ledger import Ledger
from app.backfill.measures import Pace
from app.model.keys import block_ts
from app.model.receipt import Origin, Outcome, Receipt, Settled
from app.streaming.record import Record

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def record(topic: str, value: object, offset: int = 0) -> Record:
    return Record(f"history.{topic}", 0, offset, 0, b"key", msgspec.json.encode(value), {})


def receipt(stage: str, offset: int, **outcomes: int) -> Record:
    found = {Outcome(name): [f"n{number}" for number in range(count)] for name, count in outcomes.items()}
    value = Receipt(
        stage=stage, origin=Origin("history.signals", 0, offset), provider="p", symbol="BTC",
        ts=block_ts(0, 7), outcomes=found, received_at=NOW, finished_at=NOW,
    )  # fmt: skip
    return record("signals.persisted", value)


def settled(offset: int, height: int, signals: int) -> Record:
    value = Settled(
        origin=Origin("history.signals", 0, offset), provider="p", symbol="BTC",
        ts=block_ts(1_700_000_000, height), signals=signals, forwarded_at=NOW, stages={},
    )  # fmt: skip
    return record("signals.settled", value)


def test_what_a_killed_sink_answers_again_counts_once() -> None:
    ledger = Ledger()
    for one in (receipt("sqlite", 4, inserted=3), receipt("sqlite", 4, unchanged=3)):
        ledger.take(one)
    ledger.take(receipt("sqlite", 5, updated=1, unchanged=2))
    ledger.take(receipt("bigquery", 4, inserted=3))
    assert ledger.outcomes["sqlite"] == {Outcome.INSERTED: 3, Outcome.UPDATED: 1, Outcome.UNCHANGED: 2}
    assert ledger.outcomes["bigquery"] == {Outcome.INSERTED: 3}


NO_TIME = msgspec.json.encode(
    Settled(
        origin=Origin("history.signals", 0, 9), provider="p", symbol="BTC", ts="x", signals=0,
        forwarded_at=NOW, stages={},
    )
)  # fmt: skip


@pytest.mark.parametrize("topic", ["signals.persisted", "signals.settled"])
@pytest.mark.parametrize("value", [None, b"", b"\xff", b"{}", b"[1]", b'{"stage": 7}', NO_TIME])
def test_what_is_no_receipt_ends_nothing(topic: str, value: bytes | None) -> None:
    ledger = Ledger()
    ledger.take(Record(f"history.{topic}", 0, 0, 0, b"key", value, {}))
    ledger.take(receipt("sqlite", 4, inserted=3))
    ledger.take(settled(4, 7, 3))
    assert (ledger.blocks, ledger.signals, ledger.outcomes["sqlite"][Outcome.INSERTED]) == (1, 3, 3)


def test_a_block_that_is_computed_again_is_one_block() -> None:
    ledger = Ledger()
    for one in (settled(1, 7, 20), settled(1, 7, 20), settled(2, 8, 20), settled(3, 7, 5)):
        ledger.take(one)
    assert (ledger.blocks, ledger.signals) == (2, 45)


def test_the_time_left_is_that_of_the_last_two_minutes() -> None:
    pace = Pace()
    assert pace.left_s(0, 0, 1000) is None
    assert pace.left_s(10, 100, 1000) == 90
    assert pace.left_s(1000, 100, 1000) is None  # nothing lately
    assert pace.left_s(1010, 1000, 1000) == 0
