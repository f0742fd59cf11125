"""Where a source stopped: the last blocks of its chain that the topic `blocks` holds."""

from collections.abc import AsyncIterator

from aiokafka import TopicPartition

from app.config import Settings
from app.query.kafka import Reader, open_reader
from app.streaming.record import Record, chain_of, is_isolated

TAIL = 16
"""Records read first from the end of each partition, and eight times more each time that none of them is
of the chain."""


async def sent_blocks(settings: Settings, chain: str) -> dict[int, str]:
    """Height -> hash of the chain's last blocks on the topic; empty: there are none.

    Where a height was sent twice (a reorganisation), the later one. Isolated blocks don't count. Raises
    Transient without Kafka.
    """
    topic = settings.topic("blocks")
    found: list[Record] = []
    async with open_reader(settings) as reader:
        for tp, (begin, end) in (await reader.bounds(await reader.partitions(topic))).items():
            found += await _tail(reader, tp, begin, end, chain)
    found.sort(key=lambda record: record.timestamp_ms)
    return {_height(record): (record.key or b"").decode() for record in found}


async def _tail(reader: Reader, tp: TopicPartition, begin: int, end: int, chain: str) -> list[Record]:
    size = TAIL
    while end > begin:
        start = max(begin, end - size)
        found = [record async for record in _without_value(reader, tp, start, end) if _counts(record, chain)]
        if found:
            return found
        end, size = start, size * 8
    return []


async def _without_value(reader: Reader, tp: TopicPartition, start: int, end: int) -> AsyncIterator[Record]:
    """Values are megabytes, and not looked at."""
    async for record in reader.read(tp, start, end):
        yield Record(
            record.topic,
            record.partition,
            record.offset,
            record.timestamp_ms,
            record.key,
            None,
            record.headers,
        )


def _counts(record: Record, chain: str) -> bool:
    counts = bool(record.key) and _height(record) >= 0 and not is_isolated(record)
    return counts and chain_of(record) == chain


def _height(record: Record) -> int:
    height = record.header_int("height")
    return -1 if height is None else height
