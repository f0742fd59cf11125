"""Blocks of a range of heights, in order, from any source."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from app.config import Settings
from app.errors import ConfigurationError, ContractError
from app.sources.bitcoin_etl import read_export
from app.sources.core_node import CoreNode
from app.sources.core_rpc import CoreRpc
from app.sources.esplora import Esplora
from app.sources.files import block_files, headers_of, read_block_file
from app.sources.ingest import BlockRecord, read_block
from app.sources.node import Node
from app.sources.pace import Pace
from app.sources.simulator import CHAIN, simulate
from app.sources.trim import TrimmedBlock, record_of

HELP = "core, esplora:URL, simulate:SEED, etl:BLOCKS,TRANSACTIONS, or a file or folder of blocks"
HASHES_AT_ONCE = 200
ESPLORA_REQUESTS_PER_S = 10.0


class History(NamedTuple):
    """A source that can be read from any height on.

    `lowest` says where it begins at or above a height; `blocks` gives what it has of a range, in order.
    """

    lowest: Callable[[int], int]
    blocks: Callable[[int, int], AsyncGenerator[BlockRecord, None]]


Opened = AbstractAsyncContextManager[History]


def chain_of(source: str, chain: str | None) -> str:
    """The symbol, unless given: the simulator's, or BTC."""
    return chain or (CHAIN if source.startswith("simulate") else "BTC")


def open_source(settings: Settings, source: str, chain: str, first: int, last: int) -> Opened:
    """The source that `--source` names, for a range. Raises ConfigurationError, and later what it does."""
    kind, _, rest = source.partition(":")
    match kind:
        case "core" if not rest:
            return _core(settings, chain, first, last)
        case "esplora" if rest:
            return _esplora(settings, rest, chain, first, last)
        case "simulate":
            return _simulated(_seed(rest), chain)
        case "etl" if rest.count(",") == 1:
            return _exported(*map(Path, rest.split(",")), chain=chain)
    if Path(source).exists():
        return _files(Path(source), chain)
    raise ConfigurationError(f"--source {source!r} is none of {HELP}")


def _seed(text: str) -> int:
    if text.isdigit() or not text:
        return int(text or 1)
    raise ConfigurationError(f"--source simulate:{text}: the seed is a number, like simulate:1")


@asynccontextmanager
async def _simulated(seed: int, chain: str) -> AsyncIterator[History]:
    async def blocks(first: int, last: int) -> AsyncGenerator[BlockRecord, None]:
        made = simulate(last - first + 1, seed, first)
        while (value := await asyncio.to_thread(next, made, None)) is not None:
            yield read_block(value, chain)

    yield History(_as_asked, blocks)


@asynccontextmanager
async def _core(settings: Settings, chain: str, first: int, last: int) -> AsyncIterator[History]:
    async with CoreRpc(settings) as rpc:
        node = CoreNode(rpc)
        await node.check(first, last)
        yield History(_as_asked, partial(_of_node, node, chain, settings.core_in_flight))


@asynccontextmanager
async def _esplora(settings: Settings, url: str, chain: str, first: int, last: int) -> AsyncIterator[History]:
    async with Esplora(settings, url, Pace(ESPLORA_REQUESTS_PER_S)) as node:
        await node.check(first, last)
        yield History(_as_asked, partial(_of_node, node, chain, 1))


async def _of_node(
    node: Node, chain: str, in_flight: int, first: int, last: int
) -> AsyncGenerator[BlockRecord, None]:
    for start in range(first, last + 1, HASHES_AT_ONCE):
        hashes = await node.hashes(start, min(last, start + HASHES_AT_ONCE - 1))
        for at in range(0, len(hashes), in_flight):
            for block in await asyncio.gather(*map(node.block, hashes[at : at + in_flight])):
                yield record_of(block, chain)


@asynccontextmanager
async def _exported(blocks: Path, transactions: Path, *, chain: str) -> AsyncIterator[History]:
    def export(after: int) -> Iterator[TrimmedBlock]:
        return read_export(blocks, transactions, after=after)

    async def of_range(first: int, last: int) -> AsyncGenerator[BlockRecord, None]:
        found = export(first - 1)
        while (block := await asyncio.to_thread(next, found, None)) is not None and block.height <= last:
            yield record_of(block, chain)

    yield History(lambda height: next((block.height for block in export(height - 1)), height), of_range)


@asynccontextmanager
async def _files(path: Path, chain: str) -> AsyncIterator[History]:
    heights = await asyncio.to_thread(_by_height, block_files([path]))

    async def blocks(first: int, last: int) -> AsyncGenerator[BlockRecord, None]:
        for height in sorted(height for height in heights if first <= height <= last):
            yield await asyncio.to_thread(_read, heights[height], height, chain)

    yield History(lambda height: min((h for h in heights if h >= height), default=height), blocks)


def _by_height(files: Sequence[Path]) -> dict[int, Path]:
    """By the number a file is named after, else by what is in it."""
    return {_height(file): file for file in files}


def _height(file: Path) -> int:
    name = file.name.partition(".")[0]
    return int(name) if name.isdigit() else headers_of(read_block_file(file)).height


def _read(file: Path, height: int, chain: str) -> BlockRecord:
    record = read_block(read_block_file(file), chain)
    if record.height != height:
        raise ContractError(f"{file} holds block {record.height}: name it after that, or not by a number")
    return record


def _as_asked(height: int) -> int:
    return height


async def in_chunks(
    blocks: AsyncGenerator[BlockRecord, None], size: int
) -> AsyncGenerator[list[BlockRecord], None]:
    """So many at once; the last ones may be fewer."""
    async with aclosing(blocks):
        chunk: list[BlockRecord] = []
        async for block in blocks:
            chunk.append(block)
            if len(chunk) == size:
                yield chunk
                chunk = []
        if chunk:
            yield chunk
