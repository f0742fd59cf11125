"""Rows: what one carries, which of equal keys is sent, and what becomes of the others."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.model.keys import signal_id, signal_ids
from app.model.receipt import Outcome
from app.model.signal import Signal, SignalBatch
from app.sinks.base import SinkRecord, Written
from app.sinks.rows import COLUMNS, LINEAGE, Known, Row, answer, collapse, decide, flatten, in_order, replay

TS = "2024-01-31T12:00:00.000007Z"
NOW = datetime(2024, 1, 31, 12, tzinfo=UTC)
INSERTED, UPDATED = Outcome.INSERTED, Outcome.UPDATED
UNCHANGED, RETRACTED = Outcome.UNCHANGED, Outcome.RETRACTED


def record(*signals: Signal, offset: int = 0) -> SinkRecord:
    batch = SignalBatch(provider="p", symbol="BTC", ts=TS, signals=[*signals], correlation_id="of-batch")
    return SinkRecord(3, offset, batch, 100)


def row(version: int, digest: int, name: str = "fee", retracted: bool = False) -> Row:
    retracted_at = NOW if retracted else None
    return flatten([record(Signal(name=name, version=version, digest=digest, retracted_at=retracted_at))])[0]


def test_a_row_says_everything() -> None:
    full = Signal(
        name="fee",
        value=1.5,
        score=0.5,
        signal_type="miner",
        block_height=5,
        block_hash="ab",
        block_time=NOW,
        confidence=0.25,
        metadata=msgspec.Raw('{"a":"é"}'.encode()),
        version=8,
        digest=9,
        created_at=NOW,
        first_seen_at=NOW,
        correlation_id="own",
        retracted_at=NOW,
        canonical_key="btc",
        outcome="hit",
    )
    found = flatten([record(full, offset=11)])[0]._asdict()
    assert found == {
        "signal_id": str(signal_id("p", "BTC", TS, "fee")),
        "provider": "p",
        "symbol": "BTC",
        "ts": datetime(2024, 1, 31, 12, 0, 0, 7, tzinfo=UTC),
        "name": "fee",
        "value": 1.5,
        "score": 0.5,
        "signal_type": "miner",
        "block_height": 5,
        "block_hash": "ab",
        "block_time": NOW,
        "confidence": 0.25,
        "metadata": '{"a":"é"}',
        "version": 8,
        "digest": 9,
        "created_at": NOW,
        "first_seen_at": NOW,
        "retracted_at": NOW,
        "canonical_key": "btc",
        "outcome": "hit",
        "correlation_id": "own",
        "kafka_partition": 3,
        "kafka_offset": 11,
    }
    assert (*COLUMNS, *LINEAGE) == Row._fields == tuple(found)


def test_a_row_without_a_correlation_id_has_its_batchs() -> None:
    assert row(1, 1).correlation_id == "of-batch"
    assert row(1, 1).metadata is None


@given(st.lists(st.text(st.characters(codec="utf-8")), max_size=5))
def test_ids_of_a_batch_are_the_ids_one_by_one(names: list[str]) -> None:
    assert signal_ids("p", "BTC", TS, names) == [str(signal_id("p", "BTC", TS, name)) for name in names]


@pytest.mark.parametrize(
    ("sent", "known", "outcome", "after"),
    [
        (row(1, 5), None, INSERTED, (1, 5)),
        (row(1, 5, retracted=True), None, RETRACTED, (1, 5)),
        (row(2, 6), (1, 5), UPDATED, (2, 6)),
        (row(2, 4), (1, 5), UPDATED, (2, 4)),
        (row(2, 6, retracted=True), (1, 5), RETRACTED, (2, 6)),
        (row(1, 6), (1, 5), UPDATED, (1, 6)),
        (row(1, 4), (1, 5), UNCHANGED, (1, 5)),
        (row(1, 5), (1, 5), UNCHANGED, (1, 5)),
        (row(2, 5), (1, 5), UNCHANGED, (2, 5)),
        (row(0, 5), (1, 5), UNCHANGED, (1, 5)),
        (row(0, 9), (1, 5), UNCHANGED, (1, 5)),
        (row(0, 9, retracted=True), (1, 5), UNCHANGED, (1, 5)),
    ],
)
def test_the_larger_version_and_digest_wins(
    sent: Row, known: Known | None, outcome: Outcome, after: Known
) -> None:
    assert decide(sent, known) == (outcome, after)


def test_different_keys_are_all_sent() -> None:
    rows = [row(1, 1, name) for name in "abc"]
    collapsed = collapse(rows)
    assert collapsed.winners is rows
    assert not collapsed.rivals


def test_of_equal_keys_the_largest_is_sent() -> None:
    rows = [row(2, 1, "a"), row(1, 1, "b"), row(1, 9, "a"), row(2, 3, "a")]
    collapsed = collapse(rows)
    assert collapsed.winners == [rows[3], rows[1]]
    assert collapsed.rivals == {rows[0].signal_id: [rows[0], rows[2], rows[3]]}


KNOWN = st.tuples(st.integers(0, 4), st.integers(0, 3))


@given(st.lists(KNOWN, min_size=1, max_size=6), st.none() | KNOWN)
def test_sending_the_winner_alone_ends_where_all_in_order_end(
    sent: list[Known], stored: Known | None
) -> None:
    rows = [row(*one) for one in sent]
    known = stored
    for one in rows:
        _, known = decide(one, known)
    (winner,) = collapse(rows).winners
    assert decide(winner, stored)[1] == known


def test_replay_answers_each_in_turn() -> None:
    rows = [row(1, 1), row(3, 2), row(2, 9), row(4, 2), row(5, 3, retracted=True)]
    said = [one.outcome for one in replay(rows, None)]
    assert said == [INSERTED, UPDATED, UNCHANGED, UNCHANGED, RETRACTED]
    assert [one.outcome for one in replay(rows[:1], (1, 1))] == [UNCHANGED]


def test_answers_find_their_way_back() -> None:
    rows = [row(1, 1, "a"), row(1, 1, "b"), row(2, 2, "a")]
    a, b = Written(INSERTED), Written(UNCHANGED)
    c = Written(UPDATED)
    written = {rows[0].signal_id: [a, c], rows[1].signal_id: [b]}
    assert in_order(rows, written) == [a, b, c]
    records = [record(Signal(name="a")), record(), record(Signal(name="b"), Signal(name="a"))]
    assert answer(records, [a, b, c]) == [[a], [], [b, c]]
