"""What can't be processed: original bytes, the reason, where it came from, and so a way back."""

import hashlib
import traceback

import orjson

from app.errors import SigstreamError
from app.streaming.record import Headers, Record, make_headers

MAX_VALUE_BYTES = 32_000_000
MAX_REASON_CHARS = 4_000


def dead_letter(
    record: Record, stage: str, error: BaseException, attempts: int = 1
) -> tuple[bytes | None, bytes | None, Headers]:
    """Key, value and headers of the dead letter for a record that `stage` failed on.

    A value over 32 MB is replaced by its origin and sha256: the original is still at its offset.
    """
    return (
        record.key,
        _value(record),
        make_headers(record.correlation_id, **_facts(record, stage, error, attempts)),
    )


def _value(record: Record) -> bytes | None:
    if record.value is None or len(record.value) <= MAX_VALUE_BYTES:
        return record.value
    return orjson.dumps(
        {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "bytes": len(record.value),
            "sha256": hashlib.sha256(record.value).hexdigest(),
        }
    )


def _facts(record: Record, stage: str, error: BaseException, attempts: int) -> dict[str, str | int]:
    return {
        "stage": stage,
        "reason": explain(error)[:MAX_REASON_CHARS],
        "class": type(error).__name__,
        "origin_topic": record.topic,
        "origin_partition": record.partition,
        "origin_offset": record.offset,
        "attempts": attempts,
    }


def explain(error: BaseException) -> str:
    """The message of our own errors, which names cause and remedy; a traceback for any other."""
    if isinstance(error, SigstreamError):
        return str(error)
    return "".join(traceback.format_exception(error))
