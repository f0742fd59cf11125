"""A Kafka record as stages see it, whichever client read it."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.model.receipt import Origin

Headers = list[tuple[str, bytes]]

CORRELATION_ID = "correlation-id"
CONTENT_TYPE = "content-type"
PRODUCED_AT = "produced-at"
ORIGIN_OFFSET = "origin-offset"
REQUIRED_SINKS = "required-sinks"
REKEYED = "rekeyed"
CHAIN = "chain"
ISOLATED = "isolated"
TICK = "tick"
"""Header of a record of `block-features` that says only that time has passed."""
REPLAYED_FROM = "replayed-from"
"""Header of a replayed record: partition/offset/broker's time of the one that became a dead letter."""
REPLAY_ATTEMPTS = "replay-attempts"
"""How often what a record holds was sent again from the dead letters."""
DEFAULT_CHAIN = "BTC"

MAX_CORRELATION_CHARS = 256
"""It goes into headers, rows and lines of logs; what is longer is refused, and cut wherever it is shown."""
MAX_DIGITS = 18
"""Of numbers in headers: 64 bits; Python refuses to read some thousand digits."""
MOST_DIGITS = 15
"""Of an offset, or of milliseconds since 1970: versions made of them have 63 bits."""


def number_in(headers: Mapping[str, bytes], name: str) -> int | None:
    """A header that anybody may have written, as a number; None for what is none, or a foolish one."""
    found = headers.get(name)
    return int(found) if found and len(found) <= MAX_DIGITS and found.isdigit() else None


@dataclass(slots=True, frozen=True)
class Record:
    """One record; `timestamp_ms` is the broker's (LogAppendTime)."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]

    @property
    def origin(self) -> Origin:
        """Where it came from, for receipts and dead letters."""
        return Origin(self.topic, self.partition, self.offset)

    @property
    def correlation_id(self) -> str | None:
        """Id that follows a block or a foreign signal through every stage."""
        found = self.headers.get(CORRELATION_ID)
        cut = found[:MAX_CORRELATION_CHARS] if found else b""
        return cut.decode(errors="replace").replace("\0", "\ufffd") or None

    @property
    def appended_at(self) -> datetime:
        """The broker's time."""
        return datetime.fromtimestamp(self.timestamp_ms / 1000, UTC)

    def header_int(self, name: str) -> int | None:
        """A header that holds a decimal number; None when it is missing or something else."""
        return number_in(self.headers, name)


HANDLING: ContextVar[Record | None] = ContextVar("handling", default=None)
"""The record that this agent is at; callbacks of its sends see it too."""


def of_faust(message: Any) -> Record:
    """From Faust's `Message`, whose timestamp is in seconds."""
    return Record(
        message.topic,
        message.partition,
        message.offset,
        round((message.timestamp or 0) * 1000),
        message.key,
        message.value,
        dict(message.headers or ()),
    )


def of_aiokafka(found: Any) -> Record:
    """From aiokafka's `ConsumerRecord`."""
    return Record(
        found.topic,
        found.partition,
        found.offset,
        found.timestamp,
        found.key,
        found.value,
        dict(found.headers),
    )


def chain_of(record: Record) -> str:
    """Symbol of the chain that a record of `blocks` names; BTC where it names none."""
    found = record.headers.get(CHAIN)
    return DEFAULT_CHAIN if found is None else found.decode(errors="replace")


def is_isolated(record: Record) -> bool:
    """Whether a record of `blocks` is a single block out of context: header `isolated` is `1` or `true`."""
    return record.headers.get(ISOLATED) in (b"1", b"true")


def make_headers(correlation_id: str | None, **extra: str | int) -> Headers:
    """Headers of a record that the product writes; `origin_offset=3` becomes `origin-offset: 3`."""
    headers: Headers = [
        (CONTENT_TYPE, b"application/json"),
        (PRODUCED_AT, datetime.now(UTC).isoformat(timespec="milliseconds").encode()),
    ]
    if correlation_id:
        headers.append((CORRELATION_ID, correlation_id.encode()))
    headers.extend((name.replace("_", "-"), str(value).encode()) for name, value in extra.items())
    return headers


def origin_in(record: Record, name: str) -> tuple[int, int, int] | None:
    """Partition, offset and broker's time (ms) in the header `rekeyed` or `replayed-from`; None for what
    says no such thing."""
    parts = (record.headers.get(name) or b"").split(b"/")
    if len(parts) != 3 or not all(part.isdigit() and len(part) <= MOST_DIGITS for part in parts):
        return None
    partition, offset, timestamp_ms = map(int, parts)
    return partition, offset, timestamp_ms


def first_seen(record: Record) -> tuple[int, int]:
    """Broker's time and offset of the record as its producer sent it.

    A crash sends re-keyed records twice; with versions of their own, the repeats of two values of one
    signal would undo each other. And a dead letter that is replayed must not undo what came after it.
    """
    found = origin_in(record, REPLAYED_FROM if record.headers.get(REPLAYED_FROM) else REKEYED)
    return (found[2], found[1]) if found else (record.timestamp_ms, record.offset)
