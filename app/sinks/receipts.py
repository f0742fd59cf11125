"""A sink's answers: one receipt a record, and a dead letter where signals were rejected."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from app.errors import ContractError
from app.model.receipt import Outcome, Receipt
from app.sinks.base import Written
from app.sinks.batch import Entry

ENCODER = msgspec.json.Encoder()


def receipt_for(sink: str, entry: Entry, written: Sequence[Written], received_at: datetime) -> Receipt:
    """The receipt of one record, its signals grouped by outcome."""
    if entry.content is None:
        raise ValueError("a record that was not written has no receipt")
    batch = entry.content.batch
    outcomes: dict[Outcome, list[str]] = {}
    reasons: dict[str, str] = {}
    for signal, (outcome, reason) in zip(batch.signals, written, strict=True):
        outcomes.setdefault(outcome, []).append(signal.name)
        if outcome is Outcome.REJECTED:
            reasons[signal.name] = reason or "no reason given"
    return Receipt(
        stage=sink,
        origin=entry.record.origin,
        provider=batch.provider,
        symbol=batch.symbol,
        ts=batch.ts,
        outcomes=outcomes,
        reasons=reasons,
        received_at=received_at,
        finished_at=datetime.now(UTC),
        correlation_id=batch.correlation_id,
    )


def rejection(sink: str, receipt: Receipt) -> ContractError | None:
    """Why the record goes to the dead letters too; None when the store took all of it."""
    if not receipt.reasons:
        return None
    listed = "; ".join(f"{name}: {reason}" for name, reason in receipt.reasons.items())
    return ContractError(f"{sink} rejected {len(receipt.reasons)} of its signals: {listed}")
