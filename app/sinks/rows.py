"""Rows of a store: records flattened, equal keys collapsed, outcomes as one after the other would give."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from app.model.keys import read_ts, signal_ids
from app.model.receipt import Outcome
from app.model.signal import Signal, SignalBatch
from app.sinks.base import SinkRecord, Written


class Row(NamedTuple):
    """One signal with everything its batch and its record say of it, in the stores' column order."""

    signal_id: str
    """UUID, as text."""
    provider: str
    symbol: str
    ts: datetime
    name: str
    value: float | None
    score: float | None
    signal_type: str | None
    block_height: int | None
    block_hash: str | None
    block_time: datetime | None
    confidence: float | None
    metadata: str | None
    """A JSON object, as text."""
    version: int
    digest: int
    created_at: datetime | None
    first_seen_at: datetime | None
    retracted_at: datetime | None
    canonical_key: str | None
    outcome: str | None
    correlation_id: str | None
    """The signal's own, else its batch's."""
    kafka_partition: int
    """Lineage, for stores that keep it: the record of `signals` ..."""
    kafka_offset: int
    """... that carried the signal."""


LINEAGE = ("kafka_partition", "kafka_offset")
COLUMNS: tuple[str, ...] = Row._fields[: -len(LINEAGE)]
"""What the stores of current signals keep: all but the lineage."""

Known = tuple[int, int]
"""`(version, digest)`: of two rows of one key the larger wins."""


def flatten(records: Iterable[SinkRecord]) -> list[Row]:
    """One row a signal, in the records' order."""
    rows: list[Row] = []
    for record in records:
        rows += _rows_of(record)
    return rows


def _rows_of(record: SinkRecord) -> list[Row]:
    # `tuple.__new__` skips NamedTuple's Python-level constructor: half of the time of this function.
    new, batch, ts = tuple.__new__, record.batch, read_ts(record.batch.ts)
    provider, symbol, correlation = batch.provider, batch.symbol, batch.correlation_id
    partition, offset = record.partition, record.offset
    return [
        new(
            Row,
            (
                identity,
                provider,
                symbol,
                ts,
                s.name,
                s.value,
                s.score,
                s.signal_type,
                s.block_height,
                s.block_hash,
                s.block_time,
                s.confidence,
                s.metadata_text(),
                s.version,
                s.digest,
                s.created_at,
                s.first_seen_at,
                s.retracted_at,
                s.canonical_key,
                s.outcome,
                s.correlation_id or correlation,
                partition,
                offset,
            ),
        )
        for identity, s in zip(_identities(batch), batch.signals, strict=True)
    ]


def _identities(batch: SignalBatch) -> list[str]:
    return signal_ids(batch.provider, batch.symbol, batch.ts, _names(batch.signals))


def _names(signals: Sequence[Signal]) -> list[str]:
    return [signal.name for signal in signals]


def decide(row: Row, known: Known | None) -> tuple[Outcome, Known]:
    """What storing `row` does where `known` is stored, and what is stored from then on."""
    mine = (row.version, row.digest)
    if known is not None and (row.digest == known[1] or mine < known):
        return Outcome.UNCHANGED, max(mine, known)
    if row.retracted_at is not None:
        return Outcome.RETRACTED, mine
    return Outcome.INSERTED if known is None else Outcome.UPDATED, mine


@dataclass(slots=True, frozen=True)
class Collapsed:
    """Rows of one write: which of them are sent, at most one a key."""

    winners: list[Row]
    """The row with the largest `(version, digest)` of each key, keys in order of first appearance."""
    rivals: dict[str, list[Row]]
    """signal_id -> all rows of its key in order, for keys that have several."""


def collapse(rows: list[Row]) -> Collapsed:
    """Choose one row a key: no statement may meet a key twice."""
    if len({row.signal_id for row in rows}) == len(rows):
        return Collapsed(rows, {})
    by_key: dict[str, list[Row]] = {}
    for row in rows:
        by_key.setdefault(row.signal_id, []).append(row)
    winners = [max(found, key=_known_of) for found in by_key.values()]
    return Collapsed(winners, {key: found for key, found in by_key.items() if len(found) > 1})


def _known_of(row: Row) -> Known:
    return row.version, row.digest


def replay(rows: Sequence[Row], known: Known | None) -> list[Written]:
    """What becomes of rows of one key, written one after the other onto `known`."""
    written = []
    for row in rows:
        outcome, known = decide(row, known)
        written.append(Written(outcome))
    return written


def in_order(rows: Sequence[Row], written: Mapping[str, Sequence[Written]]) -> list[Written]:
    """One Written a row; `written` has those of each signal_id in the rows' order."""
    left = {key: iter(found) for key, found in written.items()}
    return [next(left[row.signal_id]) for row in rows]


def answer(records: Sequence[SinkRecord], written: Sequence[Written]) -> list[list[Written]]:
    """`written`, one a row of `flatten(records)`, cut into one list a record."""
    answers, start = [], 0
    for record in records:
        end = start + len(record.batch.signals)
        answers.append(list(written[start:end]))
        start = end
    return answers
