"""The record that a dead letter was made of, and whether and how it is sent again."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from app.config import Settings
from app.dlq.marks import TOPIC as HANDLED
from app.dlq.marks import State
from app.errors import ContractError
from app.model.keys import write_ts
from app.model.receipt import Origin
from app.query.dead_letters import TOPIC, Letter, record_at
from app.query.kafka import Reader
from app.streaming.dead_letters import original_headers
from app.streaming.record import ORIGIN_OFFSET, REKEYED, REPLAY_ATTEMPTS, REPLAYED_FROM, Headers, number_in
from app.streaming.topics import pipeline_topics


@dataclass(frozen=True, slots=True)
class Limits:
    """What is not replayed: counts from `most` on (None: no limit), what is handled without `again`."""

    most: int | None
    again: bool = False


def check(settings: Settings, letter: Letter, limits: Limits) -> None:
    """Raises ContractError that says why a letter is not replayed."""
    if letter.mark and not limits.again:
        when = write_ts(letter.mark.time)
        raise ContractError(f"was {letter.state} at {when} already: --again replays it all the same")
    if limits.most is not None and letter.replays >= limits.most:
        raise ContractError(
            f"was replayed {letter.replays} times and came back: mend what `reason` says, then --force or "
            f"a higher --max-attempts than {limits.most} replays it, or drop it"
        )
    _check_origin(settings, letter)


def check_open(letter: Letter) -> None:
    """Raises ContractError when it is handled already."""
    if letter.state is not State.OPEN and letter.mark:
        raise ContractError(f"was {letter.state} at {write_ts(letter.mark.time)} already")


def _check_origin(settings: Settings, letter: Letter) -> None:
    origin = letter.origin
    if origin is None:
        raise ContractError("does not say where it came from: send its content again from its source")
    topics = {topic.name: topic.partitions for topic in pipeline_topics(settings)}
    ours = origin.topic in topics and origin.topic not in map(settings.topic, (TOPIC, HANDLED))
    if not ours or origin.partition >= topics[origin.topic]:
        raise ContractError(
            f"came from {origin.topic}/{origin.partition}, which is no partition of a topic of namespace "
            f"{settings.namespace}: set SIGSTREAM_NAMESPACE to that of its pipeline"
        )


@dataclass(frozen=True, slots=True)
class Original:
    """What the stage failed on; `timestamp_ms` is the broker's, None in a letter that does not say."""

    origin: Origin
    value: bytes | None
    headers: Mapping[str, bytes]
    timestamp_ms: int | None


async def original_of(reader: Reader, letter: Letter, value: bytes | None) -> Original:
    """Out of the letter, or what is too large for one, from its offset. Raises ContractError."""
    origin = letter.origin
    assert origin is not None
    if not letter.left_at_origin:
        timestamp_ms = number_in(letter.headers, "origin-timestamp")
        return Original(origin, value, original_headers(letter.headers), timestamp_ms)
    record = await record_at(reader, origin)
    what = f"its {' and '.join(sorted(letter.left_at_origin))} {_were(letter)} left at {_name(origin)}"
    if record is None:
        raise ContractError(f"{what}, which Kafka has no more: send its content again from its source")
    if _sha256(record.value) != _expected(letter, value):
        raise ContractError(f"{what}, where another record is now: send its content again from its source")
    return Original(origin, record.value, record.headers, record.timestamp_ms)


def _were(letter: Letter) -> str:
    return "was" if letter.left_at_origin == {"value"} else "were"


def _name(origin: Origin) -> str:
    return f"{origin.topic}/{origin.partition}/{origin.offset}"


def _expected(letter: Letter, value: bytes | None) -> str:
    if "value" not in letter.left_at_origin:
        return _sha256(value)
    try:
        return str(orjson.loads(value or b"")["sha256"])
    except (orjson.JSONDecodeError, LookupError, TypeError):
        raise ContractError(
            "is broken: its value was left at its origin, and no sha256 is in its place"
        ) from None


def _sha256(value: bytes | None) -> str:
    return hashlib.sha256(value or b"").hexdigest()


def headers_of(original: Original, count: int) -> Headers:
    """The original's headers, how often it was replayed, and what it was first.

    Without `origin-offset`: consumers of `signals` would take the record for a repeat of one they know.
    """
    headers = {name: value for name, value in original.headers.items() if name != ORIGIN_OFFSET}
    origin = original.origin
    if original.timestamp_ms is not None and REKEYED not in headers:
        first = f"{origin.partition}/{origin.offset}/{original.timestamp_ms}".encode()
        headers.setdefault(REPLAYED_FROM, first)
    return [*{**headers, REPLAY_ATTEMPTS: str(count).encode()}.items()]
