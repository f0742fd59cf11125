"""Where a source stopped: the last blocks of its chain that the pipeline has seen."""

from collections.abc import Callable
from typing import NamedTuple

from aiokafka import TopicPartition

from app.config import Settings
from app.errors import ContractError
from app.model.features import FEATURES_DECODER
from app.model.wire import decode
from app.query.kafka import Reader, open_reader
from app.streaming.record import TICK, Record, chain_of, is_isolated

TAIL = 16
"""Records read first from the end of each partition, and eight times more each time that none of them is
of the chain."""


class Seen(NamedTuple):
    """A block that the pipeline has seen."""

    at_ms: int
    height: int
    hash: str


class Resume(NamedTuple):
    """The chain's last blocks (height -> hash; empty: there are none), and which topic knows them."""

    known: dict[int, str]
    topic: str = "blocks"

    @property
    def last(self) -> int | None:
        """The highest block."""
        return max(self.known, default=None)

    def say(self, chain: str) -> str:
        """Where it goes on and who says so. Only where `last` is not None."""
        assert self.last is not None
        who = f"the topic holds {chain}"
        if self.topic != "blocks":
            who = f"the topic holds no block of {chain} any more, but {self.topic} knows {chain}"
        return f"{who} up to block {self.last}: from block {self.last + 1} on"


async def resume_point(settings: Settings, chain: str) -> Resume:
    """Where the chain goes on: by `blocks`, else by `block-features`, which is kept for longer.

    Where a height was sent twice (a reorganisation), the later block counts; isolated ones don't. Raises
    Transient without Kafka.
    """
    readings = {"blocks": _of_block, "block-features": _of_features}
    async with open_reader(settings) as reader:
        for topic, reading in readings.items():
            if known := await _known(reader, settings.topic(topic), reading, chain):
                return Resume(known, topic)
    return Resume({})


Reading = Callable[[Record, str], Seen | None]
"""The block that a record tells of; None where it is none of this chain."""


async def _known(reader: Reader, topic: str, reading: Reading, chain: str) -> dict[int, str]:
    found: list[Seen] = []
    for tp, (begin, end) in (await reader.bounds(await reader.partitions(topic))).items():
        found += await _tail(reader, tp, begin, end, lambda record: reading(record, chain))
    found.sort(key=lambda block: block.at_ms)
    return {block.height: block.hash for block in found}


async def _tail(
    reader: Reader, tp: TopicPartition, begin: int, end: int, reading: Callable[[Record], Seen | None]
) -> list[Seen]:
    """Records are let go as they are read: a block may have megabytes."""
    size = TAIL
    while end > begin:
        start = max(begin, end - size)
        found = [block async for record in reader.read(tp, start, end) if (block := reading(record))]
        if found:
            return found
        end, size = start, size * 8
    return []


def _of_block(record: Record, chain: str) -> Seen | None:
    height = record.header_int("height")
    if height is None or not record.key or is_isolated(record) or chain_of(record) != chain:
        return None
    return Seen(record.timestamp_ms, height, record.key.decode(errors="replace"))


def _of_features(record: Record, chain: str) -> Seen | None:
    if record.key != chain.encode() or TICK in record.headers:
        return None
    try:
        found = decode(FEATURES_DECODER, record.value, "block features")
    except ContractError:  # a dead letter by now
        return None
    return None if found.isolated else Seen(record.timestamp_ms, found.height, found.hash)
