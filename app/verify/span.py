"""Which records of `signals.raw` are looked at, and from where on their answers are."""

from dataclasses import dataclass
from datetime import datetime

from aiokafka import TopicPartition

from app.config import Settings
from app.errors import ConfigurationError
from app.query.kafka import Reader

NEVER_MS = 2**62
"""Where nothing is asked of, nothing is read of answers."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to know of: offsets hold for each partition; `until` is not included."""

    first_offset: int | None = None
    end_offset: int | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def everything(self) -> bool:
        """No end is given, not even one that holds all there is."""
        return self == Asked()


@dataclass(frozen=True, slots=True)
class Span:
    """Of one partition of `signals.raw`."""

    partition: int
    first: int
    end: int
    """Behind the last that dedupe is done with, or that was asked for."""
    log_end: int
    waiting: int
    """Records at the log's end that dedupe has not committed yet."""
    since_ms: int
    """The broker's time from which on answers may have come."""
    complete: bool
    """From the partition's very first record to dedupe's last, and nothing else was asked for."""


async def spans(settings: Settings, reader: Reader, asked: Asked) -> list[Span]:
    """One a partition. Raises ConfigurationError where the topic does not exist."""
    topic = settings.topic("signals.raw")
    partitions = await reader.partitions(topic)
    if not partitions:
        raise ConfigurationError(
            f"there is no topic {topic}, so nothing can be compared: set SIGSTREAM_NAMESPACE to the "
            "pipeline's, or start its workers, which make its topics"
        )
    committed = await reader.committed(settings.group("dedupe"))
    bounds = await reader.bounds(partitions)
    return [await _span(reader, tp, bounds[tp], committed.get(tp, 0), asked) for tp in partitions]


async def _span(
    reader: Reader, tp: TopicPartition, bounds: tuple[int, int], committed: int, asked: Asked
) -> Span:
    begin, end = bounds
    done = max(begin, committed)
    first = min(done, max(begin, asked.first_offset or 0))
    last = done if asked.end_offset is None else min(done, asked.end_offset)
    if asked.since is not None:
        first = min(done, max(first, await _at(reader, tp, asked.since, end)))
    if asked.until is not None:
        last = min(last, await _at(reader, tp, asked.until, end))
    complete = asked.everything and begin == 0
    since_ms = 0 if first == begin else await _time_of(reader, tp, first, last)
    return Span(tp.partition, first, max(first, last), end, end - done, since_ms, complete)


async def _at(reader: Reader, tp: TopicPartition, when: datetime, end: int) -> int:
    found = await reader.offset_at(tp, int(when.timestamp() * 1000))
    return end if found is None else found


async def _time_of(reader: Reader, tp: TopicPartition, first: int, end: int) -> int:
    async for record in reader.read(tp, first, end):
        return record.timestamp_ms
    return NEVER_MS
