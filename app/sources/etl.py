"""A run of the source Bitcoin ETL: two files onto the topic."""

import asyncio
from pathlib import Path

from app.config import Settings
from app.model.keys import canonical_symbol
from app.sources.bitcoin_etl import read_export
from app.sources.ingest import BlockProducer
from app.sources.outlet import Outlet
from app.sources.pace import Pace
from app.sources.resume import sent_blocks
from app.sources.session import Watch


async def feed_from_etl(
    settings: Settings, blocks: Path, transactions: Path, chain: str, first: int | None, watch: Watch
) -> None:
    """Send the export's blocks from height `first` on (None: behind the last that the topic holds).

    Raises SigstreamError; what comes before a bad line is sent.
    """
    chain = canonical_symbol(chain)
    async with BlockProducer(settings) as producer:
        if first is None:
            first = max(await sent_blocks(settings, chain), default=-1) + 1
            if first:
                watch.say(f"the topic holds {chain} up to block {first - 1}: from block {first} on")
        outlet = Outlet(producer, chain, Pace(None), watch.done)
        found = read_export(blocks, transactions, after=first - 1)
        while (block := await asyncio.to_thread(next, found, None)) is not None:
            await outlet.send(block)
        if not outlet.sent:
            watch.say(f"nothing to send: {blocks} has no block from height {first} on")
