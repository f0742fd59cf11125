"""Answers of the stages: `signals.persisted` (one receipt a record) and `signals.settled`."""

from enum import StrEnum

import msgspec

from app.model.signal import Count63, Time


class Outcome(StrEnum):
    """What a stage did with one signal."""

    INSERTED = "inserted"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    RETRACTED = "retracted"
    SAME = "same"
    OLDER = "older"
    REJECTED = "rejected"


class Origin(msgspec.Struct, frozen=True):
    """The record that a receipt answers."""

    topic: str
    partition: Count63
    offset: Count63


class Receipt(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One stage's answer for one record; `outcomes` groups the names of its signals."""

    stage: str
    """`dedupe`, or a sink's name."""
    origin: Origin
    provider: str
    symbol: str
    ts: str
    outcomes: dict[Outcome, list[str]]
    reasons: dict[str, str] = {}
    """Why, for each rejected name."""
    received_at: Time
    """When the stage read the record."""
    finished_at: Time
    """When the outcome was durable."""
    correlation_id: str | None = None


class Settled(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Every required sink has answered for one record of `signals`."""

    origin: Origin
    provider: str
    symbol: str
    ts: str
    signals: int
    forwarded_at: Time
    """Broker's time of the record on `signals`."""
    stages: dict[str, Time]
    """Sink -> when its rows were durable."""
    rejected: dict[str, dict[str, str]] = {}
    """Sink -> name -> reason."""
    correlation_id: str | None = None


RECEIPT_DECODER = msgspec.json.Decoder(Receipt)
SETTLED_DECODER = msgspec.json.Decoder(Settled)
