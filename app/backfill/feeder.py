"""Blocks into the backfill's own topic, no further ahead of its workers than they can put in order."""

import asyncio
from collections.abc import AsyncGenerator

from app.backfill.sources import in_chunks
from app.sources.ingest import BlockProducer, BlockRecord

AHEAD = 200
"""Records that a stage may be behind before no more is sent: less than what the chain's tracker keeps in
reach, and a small backlog for the live pipeline to share servers with."""
IN_FLIGHT = 8
"""Blocks sent at once; a kill leaves holes among the last so many."""


class Gate:
    """Open while no stage is too far behind."""

    def __init__(self, ahead: int = AHEAD) -> None:
        self._ahead = ahead
        self._room = 0
        self._changed = asyncio.Condition()

    async def measured(self, furthest: int) -> None:
        """The stage that is furthest behind is so many records behind."""
        async with self._changed:
            self._room = self._ahead - furthest
            self._changed.notify_all()

    async def take(self, records: int) -> None:
        """Wait until there is room for so many more."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._room >= records)
            self._room -= records


class Sent:
    """How far the source is."""

    def __init__(self) -> None:
        self.blocks = 0
        self.height: int | None = None
        self.over = False


async def feed(
    producer: BlockProducer, blocks: AsyncGenerator[BlockRecord, None], gate: Gate, sent: Sent
) -> None:
    """Send all. Raises SigstreamError."""
    async for chunk in in_chunks(blocks, IN_FLIGHT):
        await gate.take(len(chunk))
        await asyncio.gather(*(producer.send(f"block {record.height}", record) for record in chunk))
        sent.blocks += len(chunk)
        sent.height = chunk[-1].height
    sent.over = True
