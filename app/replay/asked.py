"""What of a topic is replayed: offsets, times or heights, and the ranges of offsets that follow."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from aiokafka import TopicPartition

from app.errors import ConfigurationError
from app.model.keys import write_ts
from app.query.kafka import Reader

EARLIEST = "earliest"
"""Offset: the first record that Kafka still has."""


class Unit(StrEnum):
    """What `--from-...` and `--to` count."""

    OFFSET = "offset"
    TIME = "time"
    HEIGHT = "height"


@dataclass(frozen=True, slots=True)
class Asked:
    """`first` and `last` in one unit. Offsets hold for each partition; offsets and times (the broker's)
    end before `last`, heights with it. None: all there is at that end."""

    unit: Unit
    first: int | datetime | None
    last: int | datetime | None = None

    @property
    def heights(self) -> range | None:
        """Of `Unit.HEIGHT`, else None."""
        if self.unit is not Unit.HEIGHT:
            return None
        assert isinstance(self.first, int)
        assert self.last is None or isinstance(self.last, int)
        return range(self.first, 2**31 if self.last is None else self.last + 1)

    def __str__(self) -> str:
        return f"{self.unit} {say(self.first)} to {say(self.last)}"


def say(value: int | datetime | None) -> str:
    return write_ts(value) if isinstance(value, datetime) else "the end" if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Range:
    """Records of one partition; `end` is not included."""

    tp: TopicPartition
    first: int
    end: int


async def ranges_of(reader: Reader, topic: str, asked: Asked) -> list[Range]:
    """One a partition; of heights, all there is. Raises ConfigurationError where there is no such topic,
    or its retention has removed what is asked for."""
    bounds = await reader.bounds(await reader.partitions(topic))
    if not bounds:
        raise no_topic(topic)
    if asked.unit is Unit.OFFSET and isinstance(asked.first, int):
        _check_offset(asked.first, bounds)
    return [await _range(reader, tp, *bounds[tp], asked) for tp in sorted(bounds)]


def no_topic(topic: str) -> ConfigurationError:
    """What to say of a namespace that nobody uses."""
    return ConfigurationError(
        f"there is no topic {topic}: set SIGSTREAM_NAMESPACE to the pipeline's whose records to replay"
    )


def _check_offset(first: int, bounds: dict[TopicPartition, tuple[int, int]]) -> None:
    late = {tp: begin for tp, (begin, _) in bounds.items() if begin > first}
    if late:
        tp, begin = max(late.items(), key=lambda item: item[1])
        raise ConfigurationError(
            f"--from-offset {first}: {tp.topic}/{tp.partition} begins at offset {begin}, what was before has "
            f"left the topic (retention): `--from-offset {EARLIEST}` begins with what is there"
        )
    end = max(end for _, end in bounds.values())
    if first > end:
        topic = next(iter(bounds)).topic
        raise ConfigurationError(
            f"--from-offset {first}: {topic} ends at offset {end}, on its longest partition: begin below it"
        )


async def _range(reader: Reader, tp: TopicPartition, begin: int, end: int, asked: Asked) -> Range:
    first, last = begin, end
    if asked.unit is Unit.OFFSET:
        first = min(end, max(begin, asked.first)) if isinstance(asked.first, int) else begin
        last = min(end, asked.last) if isinstance(asked.last, int) else end
    elif asked.unit is Unit.TIME:
        first = await _at(reader, tp, asked.first, end) if isinstance(asked.first, datetime) else begin
        last = await _at(reader, tp, asked.last, end) if isinstance(asked.last, datetime) else end
    return Range(tp, first, max(first, last))


async def _at(reader: Reader, tp: TopicPartition, when: datetime, end: int) -> int:
    found = await reader.offset_at(tp, int(when.timestamp() * 1000))
    return end if found is None else found
