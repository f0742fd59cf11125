"""What is outstanding, and when a record is settled: the decisions of the receipts agent, without I/O."""

from datetime import datetime

import msgspec

from app.model.receipt import Origin, Outcome, Receipt, Settled
from app.model.signal import SignalBatch, Time


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One record of `signals` and the receipts for it; `expected` is None while only receipts came."""

    expected: Settled | None = None
    required: list[str] = []
    answered: dict[str, Time] = {}
    rejected: dict[str, dict[str, str]] = {}


class Changed(msgspec.Struct):
    """What an event did to the entry of a record of `signals`; None: it is closed."""

    offset: int
    entry: Entry | None


class Progress(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How far the agent is in one partition of `signals`."""

    last_offset: int = -1
    last_origin: int | None = None
    outstanding: dict[str, int] = {}
    """Sink -> records that wait for its receipt."""
    changed: Changed | None = None
    """By the last event. Written before the entry itself: what a crash has torn is mended from it."""


def is_repeat(progress: Progress, offset: int, origin: int | None) -> bool:
    """Whether a record was taken before: itself, or what a crashed dedupe worker forwarded twice.

    Dedupe forwards in order, so a record whose origin is not above the last one's is a repeat.
    """
    if offset <= progress.last_offset:
        return True
    return origin is not None and progress.last_origin is not None and origin <= progress.last_origin


def advance(progress: Progress, offset: int, origin: int | None) -> None:
    """The record at `offset` was read."""
    progress.last_offset = max(progress.last_offset, offset)
    if origin is not None:
        progress.last_origin = max(progress.last_origin or 0, origin)


def expect(
    entry: Entry, progress: Progress, batch: SignalBatch, origin: Origin, at: datetime, required: list[str]
) -> None:
    """The record must be stored by the required sinks; some may have answered already."""
    entry.required = required
    entry.expected = Settled(
        origin=origin,
        provider=batch.provider,
        symbol=batch.symbol,
        ts=batch.ts,
        signals=len(batch.signals),
        forwarded_at=at,
        stages={},
        correlation_id=batch.correlation_id,
    )
    for sink in waiting(entry):
        progress.outstanding[sink] = progress.outstanding.get(sink, 0) + 1


def take(entry: Entry, progress: Progress, receipt: Receipt) -> bool:
    """A sink answered; False when it had answered before."""
    sink = receipt.stage
    if sink in entry.answered:
        return False
    if entry.expected is not None and sink in entry.required:
        progress.outstanding[sink] = max(0, progress.outstanding.get(sink, 0) - 1)
    entry.answered[sink] = receipt.finished_at
    if receipt.outcomes.get(Outcome.REJECTED):
        entry.rejected[sink] = receipt.reasons
    return True


def waiting(entry: Entry) -> list[str]:
    """Required sinks that have not answered."""
    return [sink for sink in entry.required if sink not in entry.answered]


def settled(entry: Entry) -> Settled | None:
    """The record of `signals.settled`, once every required sink has answered."""
    if entry.expected is None or waiting(entry):
        return None
    return msgspec.structs.replace(entry.expected, stages=entry.answered, rejected=entry.rejected)
