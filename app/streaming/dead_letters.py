"""What can't be processed: original bytes and headers, the reason, where it came from, and so a way back."""

import hashlib
import traceback
from collections.abc import Mapping

import orjson

from app.errors import SigstreamError
from app.observe import metrics
from app.streaming.record import CORRELATION_ID, REPLAY_ATTEMPTS, Headers, Record, make_headers
from app.streaming.sizes import MAX_HEADERS_BYTES, MAX_KEY_BYTES

MAX_VALUE_BYTES = 32_000_000
MAX_REASON_CHARS = 4_000
ORIGINAL = "original-"
"""Before the names of the original's headers; a letter has headers of its own beside them."""
LEFT_AT_ORIGIN = "left-at-origin"
"""Header: which of `value`, `headers` and `key` are too large for the letter, and whole only at the
original's offset."""


def dead_letter(
    record: Record, stage: str, error: BaseException, attempts: int = 1
) -> tuple[bytes | None, bytes | None, Headers]:
    """Key, value and headers of the dead letter for a record that `stage` failed on; it is counted.

    A value over 32 MB is replaced by its origin and sha256: the original is still at its offset. A
    record with neither key nor value gets an empty one, as aiokafka sends nothing else.
    """
    metrics.dead_letters.labels(stage, type(error).__name__).inc()
    value, left = _value(record)
    originals, left_too = _originals(record)
    left_too += ["key"] if _key(record) != record.key else []
    headers = make_headers(record.correlation_id, **_facts(record, stage, error, attempts))
    if count := record.header_int(REPLAY_ATTEMPTS):
        headers.append((REPLAY_ATTEMPTS, str(count).encode()))
    if left + left_too:
        headers.append((LEFT_AT_ORIGIN, ",".join(left + left_too).encode()))
    return _key(record), value, [*headers, *originals]


def original_headers(letter: Mapping[str, bytes]) -> dict[str, bytes]:
    """The headers that the original had, out of its letter's."""
    own = (CORRELATION_ID, REPLAY_ATTEMPTS)
    kept = {name.removeprefix(ORIGINAL): value for name, value in letter.items() if name.startswith(ORIGINAL)}
    return {**{name: letter[name] for name in own if name in letter}, **kept}


def _key(record: Record) -> bytes | None:
    return record.key[:MAX_KEY_BYTES] if record.key else record.key


def _value(record: Record) -> tuple[bytes | None, list[str]]:
    if record.value is None:
        return (None if record.key is not None else b""), []
    if len(record.value) <= MAX_VALUE_BYTES:
        return record.value, []
    where = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "bytes": len(record.value),
        "sha256": hashlib.sha256(record.value).hexdigest(),
    }
    return orjson.dumps(where), ["value"]


def _originals(record: Record) -> tuple[Headers, list[str]]:
    """All of them or none: half of the headers would make another record of it."""
    kept = [
        (f"{ORIGINAL}{name}", value)
        for name, value in record.headers.items()
        if name not in (CORRELATION_ID, REPLAY_ATTEMPTS)
    ]
    if sum(len(name) + len(value or b"") for name, value in kept) > MAX_HEADERS_BYTES:
        return [], ["headers"]
    return kept, []


def _facts(record: Record, stage: str, error: BaseException, attempts: int) -> dict[str, str | int]:
    return {
        "stage": stage,
        "reason": explain(error)[:MAX_REASON_CHARS],
        "class": type(error).__name__,
        "origin_topic": record.topic,
        "origin_partition": record.partition,
        "origin_offset": record.offset,
        "origin_timestamp": record.timestamp_ms,
        "attempts": attempts,
    }


def explain(error: BaseException) -> str:
    """The message of our own errors, which names cause and remedy; a traceback for any other."""
    if isinstance(error, SigstreamError):
        return str(error)
    return "".join(traceback.format_exception(error))
