"""What a record says of a signal's way, as steps that one can read in order."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from app.config import Settings
from app.errors import ContractError
from app.model.raw import read_raw
from app.model.receipt import RECEIPT_DECODER, SETTLED_DECODER, Receipt, Settled
from app.model.signal import SignalBatch, names
from app.model.wire import decode
from app.streaming.record import ORIGIN_OFFSET, REKEYED, Record

ORDER = ("blocks", "block-features", "signals.raw", "signals", "signals.persisted", "signals.settled")
"""The way; breaks ties of time."""


class Step(NamedTuple):
    """One record's part in it; `at` is the broker's time, of receipts the stage's own."""

    stage: str
    topic: str
    partition: int
    offset: int
    at: datetime
    outcome: str
    reason: str | None
    rank: int


def names_signals(settings: Settings, step: Step) -> bool:
    """Whether it speaks of single signals: a block, or that a batch is settled, does not."""
    return step.topic not in {
        settings.topic(name) for name in ("blocks", "block-features", "signals.settled")
    }


def steps_of(settings: Settings, records: Iterable[Record], name: str | None) -> Iterator[Step]:
    """A step for each record that speaks of `name` (None: of any signal of the batch)."""
    records = list(records)
    forwarded = _places_of(settings, records, name)
    for record in records:
        topic = record.topic.removeprefix(f"{settings.namespace}.")
        told = _tell(topic, record, name)
        if topic == "signals.settled" and _settles(record) not in forwarded:
            continue
        if told is not None:
            stage, at, outcome, reason = told
            rank = ORDER.index(topic) if topic in ORDER else len(ORDER)
            place = (record.topic, record.partition, record.offset)
            yield Step(stage, *place, at, outcome, reason, rank)


def _places_of(settings: Settings, records: Iterable[Record], name: str | None) -> set[tuple[int, int]]:
    """Partition and offset of the records of `signals` that hold `name`."""
    topic = settings.topic("signals")
    return {
        (record.partition, record.offset)
        for record in records
        if record.topic == topic and _of_batch("forward", record, name) is not None
    }


def _settles(record: Record) -> tuple[int, int]:
    origin = decode(SETTLED_DECODER, record.value, "settled").origin
    return origin.partition, origin.offset


def origin_of(settings: Settings, record: Record) -> int | None:
    """Offset on `signals.raw`, in the record's own partition, of what the record answers."""
    if record.topic == settings.topic("signals"):
        return record.header_int(ORIGIN_OFFSET)
    if record.topic == settings.topic("signals.persisted"):
        origin = decode(RECEIPT_DECODER, record.value, "receipt").origin
        return origin.offset if origin.topic == settings.topic("signals.raw") else None
    return None


def block_hashes(settings: Settings, records: Iterable[Record], name: str | None) -> set[str]:
    """Hashes of the blocks that the signals say they come from."""
    return {
        signal.block_hash
        for record in records
        if record.topic in (settings.topic("signals"), settings.topic("signals.raw"))
        for signal in _batch(record).signals
        if signal.block_hash and name in (None, signal.name)
    }


Told = tuple[str, datetime, str, str | None]


def _tell(topic: str, record: Record, name: str | None) -> Told | None:
    """Stage, time, outcome and reason; None when the record does not speak of `name`."""
    if topic == "signals.persisted":
        return _of_receipt(decode(RECEIPT_DECODER, record.value, "receipt"), name)
    if topic == "signals.settled":
        return _of_settled(decode(SETTLED_DECODER, record.value, "settled"), record, name)
    if topic == "dead-letters":
        reason = record.headers.get("reason", b"").decode(errors="replace")
        stage = record.headers.get("stage", b"?").decode(errors="replace")
        return stage, record.appended_at, "dead letter", reason
    if topic == "signals":
        return _of_batch("forward", record, name)
    if topic == "signals.raw":
        return _of_batch("receive", record, name)
    return {"blocks": "block", "block-features": "extract"}[topic], record.appended_at, "appended", None


def _of_batch(stage: str, record: Record, name: str | None) -> Told | None:
    batch = _batch(record)
    if name is not None and name not in names(batch):
        return None
    gone = any(signal.retracted_at for signal in batch.signals if name in (None, signal.name))
    outcome = f"{len(batch.signals)} signals{', retracted' if gone else ''}"
    moved = record.headers.get(REKEYED, b"").decode(errors="replace")
    return stage, record.appended_at, outcome, f"moved from partition/offset/time {moved}" if moved else None


def _of_receipt(receipt: Receipt, name: str | None) -> Told | None:
    if name is None:
        outcome = ", ".join(f"{len(found)} {kind}" for kind, found in receipt.outcomes.items())
        reasons = [f"{rejected}: {reason}" for rejected, reason in receipt.reasons.items()]
        return receipt.stage, receipt.finished_at, outcome, "; ".join(reasons) or None
    for kind, found in receipt.outcomes.items():
        if name in found:
            return receipt.stage, receipt.finished_at, kind.value, receipt.reasons.get(name)
    return None


def _of_settled(settled: Settled, record: Record, name: str | None) -> Told:
    reasons = [
        f"{sink} rejected {rejected}: {reason}"
        for sink, rejections in settled.rejected.items()
        for rejected, reason in rejections.items()
        if name in (None, rejected)
    ]
    return (
        "settle",
        record.appended_at,
        f"answered by {', '.join(settled.stages)}",
        "; ".join(reasons) or None,
    )


def _batch(record: Record) -> SignalBatch:
    """Of either topic; none of its signals where it can't be read: its dead letter says why."""
    try:
        return read_raw(record.value, uppercase=True)[0]
    except ContractError:
        return SignalBatch(provider="", symbol="", ts="", signals=[])
