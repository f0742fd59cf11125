"""From a node to the topic: blocks in order of height, each branch from its fork point on."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

import structlog

from app.sources.node import Node
from app.sources.outlet import Outlet
from app.sources.trim import TrimmedBlock

log = structlog.get_logger()

REMEMBERED = 200
"""Blocks behind the tip whose hashes are known: the deepest reorganisation that is sent as a whole."""
HASHES_AT_ONCE = 200
"""Hashes asked for before their blocks: few, as a reorganisation makes them stale."""


class Feed:
    """Sends what is missing and remembers what was sent.

    `known` (height -> hash) is what the topic holds already, its latest blocks: the feed goes on behind
    them, and begins at a fork point below when the chain has changed meanwhile.
    """

    def __init__(self, node: Node, outlet: Outlet, known: Mapping[int, str], *, in_flight: int = 1) -> None:
        self.node = node
        self.outlet = outlet
        self.known = dict(known)
        self._in_flight = in_flight

    async def advance(self, first: int, last: int) -> None:
        """Send the best chain's blocks from `first` to `last`, both included."""
        for start in range(first, last + 1, HASHES_AT_ONCE):
            hashes = await self.node.hashes(start, min(last, start + HASHES_AT_ONCE - 1))
            async with aclosing(self.blocks(hashes)) as blocks:
                async for block in blocks:
                    await self.send(block)

    async def blocks(self, hashes: Sequence[str]) -> AsyncGenerator[TrimmedBlock, None]:
        """The blocks in this order; some are fetched ahead."""
        ahead: deque[asyncio.Task[TrimmedBlock]] = deque()
        try:
            for block_hash in hashes:
                ahead.append(asyncio.create_task(self.node.block(block_hash)))
                if len(ahead) >= self._in_flight:
                    yield await ahead.popleft()
            while ahead:
                yield await ahead.popleft()
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    async def send(self, block: TrimmedBlock) -> None:
        """Send a block, and before it those of its branch that the topic lacks, from the fork point on."""
        branch = await self._unsent_ancestors(block)
        if branch:
            log.warning("reorganisation", chain=self.outlet.chain, height=block.height, depth=len(branch))
        async with aclosing(self.blocks(branch)) as blocks:
            async for ancestor in blocks:
                await self._deliver(ancestor)
        await self._deliver(block)

    async def _unsent_ancestors(self, block: TrimmedBlock) -> list[str]:
        """Hashes, lowest first. Below what is remembered nothing is known, and nothing is sent."""
        branch: list[str] = []
        lowest = min(self.known, default=block.height)
        height, parent = block.height - 1, block.previousblockhash
        while parent is not None and height >= lowest and self.known.get(height) != parent:
            branch.append(parent)
            parent = (await self.node.header(parent)).previousblockhash
            height -= 1
        return branch[::-1]

    async def _deliver(self, block: TrimmedBlock) -> None:
        await self.outlet.send(block)
        for height in [h for h in self.known if h > block.height or h <= block.height - REMEMBERED]:
            del self.known[height]
        self.known[block.height] = block.hash
