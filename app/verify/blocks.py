"""Every block that came in, and whether anything was computed from it."""

from typing import Any

from aiokafka import TopicPartition

from app.config import Settings
from app.errors import ContractError
from app.model.block import HEADER_DECODER, BlockHeader
from app.model.wire import decode
from app.query.kafka import Reader
from app.streaming.record import Record, chain_of, is_isolated
from app.verify.scratch import Scratch


async def read_blocks(settings: Settings, reader: Reader, scratch: Scratch) -> int:
    """The `blocks` topic; how many records of it and of `block-features` the stage has not committed."""
    committed = await reader.committed(settings.group("blocks"))
    lag = 0
    for topic in ("blocks", "block-features"):
        for tp, (begin, end) in (await reader.bounds(await reader.partitions(settings.topic(topic)))).items():
            lag += end - max(begin, committed.get(tp, 0))
            if topic == "blocks":
                await _read(reader, scratch, tp, begin, end)
    return lag


async def _read(reader: Reader, scratch: Scratch, tp: TopicPartition, begin: int, end: int) -> None:
    async for record in reader.read(tp, begin, end):
        scratch.add("block", [_row(record)])


def _row(record: Record) -> tuple[Any, ...]:
    try:
        header = decode(HEADER_DECODER, record.value, "block")
    except ContractError:  # must be a dead letter
        header = BlockHeader("", -1)
    isolated = is_isolated(record)
    return record.partition, record.offset, chain_of(record), header.height, header.hash, isolated
