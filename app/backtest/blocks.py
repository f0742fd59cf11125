"""Blocks in files or on Kafka, as features of one chain in order."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import structlog

from app.chain.extract import extract
from app.config import Settings
from app.errors import ConfigurationError, ContractError
from app.model.features import FEATURES_DECODER, BlockFeatures
from app.model.keys import canonical_symbol
from app.model.wire import decode
from app.query.kafka import Reader, open_reader
from app.sources.files import block_files, headers_of, read_block_file
from app.streaming.record import TICK, Record, chain_of, is_isolated

log = structlog.get_logger()

BlocksTopic = Literal["blocks", "block-features"]


class Heights(NamedTuple):
    """A range of heights, both ends included; None: open."""

    first: int | None = None
    last: int | None = None

    def __contains__(self, height: object) -> bool:
        """Whether a height is within."""
        assert isinstance(height, int)
        return (self.first is None or height >= self.first) and (self.last is None or height <= self.last)


ALL_HEIGHTS = Heights()


def read_files(paths: Sequence[Path], heights: Heights, *, chain: str) -> list[BlockFeatures]:
    """Features of blocks in files (`getblock <hash> 3`, .json or .json.zst) and folders of them.

    Raises ConfigurationError or ContractError that names the file.
    """
    found = []
    for path in block_files(paths):
        value = read_block_file(path)
        try:
            if headers_of(value).height in heights:
                found.append(extract(value, chain=chain, isolated=False))
        except ContractError as error:
            raise ContractError(f"{path}: {error}") from error
    return branch_of(found)


def read_topic(
    settings: Settings, topic: BlocksTopic, heights: Heights, *, chain: str
) -> list[BlockFeatures]:
    """Features of a chain's blocks on `blocks` or `block-features`; isolated ones are left out.

    Records that the pipeline would call dead letters are left out too, with a warning. Raises Transient
    when Kafka does not answer, ConfigurationError when the topic does not exist.
    """
    symbol = canonical_symbol(chain)
    return branch_of(asyncio.run(_read_topic(settings, topic, heights, symbol)))


def branch_of(blocks: Iterable[BlockFeatures]) -> list[BlockFeatures]:
    """One branch of the blocks, lowest first: from the highest block down by `previousblockhash`.

    Of two highest, the one that came first. Where a parent is not there, the branch goes on with the
    highest block below.
    """
    by_hash = {block.hash: block for block in blocks}
    by_height = sorted(by_hash.values(), key=lambda block: -block.height)
    branch: list[BlockFeatures] = []
    for block in by_height:
        if not branch:
            branch.append(block)
            continue
        parent = by_hash.get(branch[-1].previousblockhash or "")
        if block is parent or (parent is None and block.height < branch[-1].height):
            branch.append(block)
    return branch[::-1]


async def _read_topic(
    settings: Settings, topic: BlocksTopic, heights: Heights, chain: str
) -> list[BlockFeatures]:
    name = settings.topic(topic)
    found = []
    async with open_reader(settings) as reader:
        partitions = await reader.partitions(name)
        if not partitions:
            raise ConfigurationError(
                f"there is no topic {name}: set SIGSTREAM_NAMESPACE to the pipeline's, or send blocks first"
            )
        async for record in _records(reader, partitions):
            block = _block_of(topic, record, heights, chain)
            if block is not None:
                found.append(block)
    return found


async def _records(reader: Reader, partitions: Sequence[object]) -> AsyncIterator[Record]:
    for partition, (start, end) in (await reader.bounds(list(partitions))).items():
        async for record in reader.read(partition, start, end):
            yield record


def _block_of(topic: BlocksTopic, record: Record, heights: Heights, chain: str) -> BlockFeatures | None:
    try:
        block = _read_block(record, heights, chain) if topic == "blocks" else _read_features(record)
    except ContractError as error:
        log.warning("record left out", origin=record.origin, error=str(error))
        return None
    wanted = block is not None and block.chain == chain and not block.isolated and block.height in heights
    return block if wanted else None


def _read_block(record: Record, heights: Heights, chain: str) -> BlockFeatures | None:
    if chain_of(record) != chain:
        return None
    height = record.header_int("height")
    if height is not None and height not in heights:
        return None
    return extract(record.value, chain=chain, isolated=is_isolated(record))


def _read_features(record: Record) -> BlockFeatures | None:
    """Records without a value, or with `tick` among their headers, are the pipeline's own."""
    if not record.value or TICK in record.headers:
        return None
    return decode(FEATURES_DECODER, record.value, "block features")
