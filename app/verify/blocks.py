"""Every block that came in, and whether its signals were computed."""

from functools import partial

from app.config import Settings
from app.errors import ContractError
from app.model.block import HEADER_DECODER, BlockHeader
from app.model.wire import decode
from app.processors.registry import enabled_processors
from app.query.kafka import Reader
from app.streaming.record import Record, chain_of, is_isolated
from app.verify.topics import Rows, Topics, add


def owed_by(settings: Settings) -> list[tuple[str]]:
    """Enabled processors that have something to say of every block. Raises ConfigurationError."""
    made = (enabled.processor for enabled in enabled_processors(settings))
    return [(processor.name,) for processor in made if getattr(processor, "every_block", False)]


async def read_blocks(settings: Settings, reader: Reader, topics: Topics) -> int:
    """The `blocks` topic; how many records of it and of `block-features` the stage has not committed."""
    committed = await reader.committed(settings.group("blocks"))
    lag = 0
    for topic in ("blocks", "block-features"):
        for tp, (begin, end) in (await reader.bounds(await reader.partitions(settings.topic(topic)))).items():
            lag += end - max(begin, committed.get(tp, 0))
            if topic == "blocks":
                await topics.collect(tp, begin, end, partial(_of_block, settings.emit_from_height))
    return lag


def _of_block(emit_from: int, record: Record, rows: Rows) -> None:
    try:
        header = decode(HEADER_DECODER, record.value, "block")
    except ContractError:  # must be a dead letter
        header = BlockHeader("", -1)
    if 0 <= header.height < emit_from:
        return  # it only warms up
    place = (record.partition, record.offset)
    add(rows, "block", [(*place, chain_of(record), header.height, header.hash, is_isolated(record))])
