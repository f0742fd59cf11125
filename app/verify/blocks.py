"""Every block that came in, and whether its signals were computed."""

from functools import partial

from app.config import Settings
from app.errors import ContractError
from app.model.block import HEADER_DECODER, BlockHeader
from app.model.wire import decode
from app.processors.registry import enabled_processors
from app.query.kafka import Reader
from app.streaming.record import Record, chain_of, is_isolated
from app.verify.topics import Reading, Rows, add


def owed_by(settings: Settings) -> list[tuple[str]]:
    """Enabled processors that have something to say of every block. Raises ConfigurationError."""
    made = (enabled.processor for enabled in enabled_processors(settings))
    return [(processor.name,) for processor in made if getattr(processor, "every_block", False)]


async def blocks_of(settings: Settings, reader: Reader) -> tuple[list[Reading], int]:
    """The `blocks` topic; how many records of it and of `block-features` the stage has not committed.

    To be asked before it is looked how far `signals.raw` goes: what is committed has its signals there.
    """
    committed = await reader.committed(settings.group("blocks"))
    blocks = await reader.bounds(await reader.partitions(settings.topic("blocks")))
    features = await reader.bounds(await reader.partitions(settings.topic("block-features")))
    bounds = (blocks | features).items()
    lag = sum(end - max(begin, committed.get(tp, 0)) for tp, (begin, end) in bounds)
    take = partial(_of_block, settings.emit_from_height)
    return [Reading(tp, *blocks[tp], take) for tp in sorted(blocks)], lag


def _of_block(emit_from: int, record: Record, rows: Rows) -> None:
    try:
        header = decode(HEADER_DECODER, record.value, "block")
    except ContractError:  # must be a dead letter
        header = BlockHeader("", -1)
    if 0 <= header.height < emit_from:
        return  # it only warms up
    place = (record.partition, record.offset)
    add(rows, "block", [(*place, chain_of(record), header.height, header.hash, is_isolated(record))])
