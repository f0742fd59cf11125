"""A run of the source Bitcoin ETL: two files onto the topic."""

import asyncio
from pathlib import Path

from app.config import Settings
from app.model.keys import canonical_symbol
from app.sources.bitcoin_etl import read_export
from app.sources.ingest import BlockProducer
from app.sources.outlet import Outlet
from app.sources.pace import Pace
from app.sources.resume import resume_point
from app.sources.session import Watch


async def feed_from_etl(
    settings: Settings, blocks: Path, transactions: Path, chain: str, first: int | None, watch: Watch
) -> None:
    """Send the export's blocks from height `first` on (None: behind the last that was sent).

    Raises SigstreamError; what comes before a bad line is sent.
    """
    chain = canonical_symbol(chain)
    async with BlockProducer(settings) as producer:
        if first is None:
            resume = await resume_point(settings, chain)
            first = 0 if resume.last is None else resume.last + 1
            if resume.known:
                watch.say(resume.say(chain))
        outlet = Outlet(producer, chain, Pace(None), watch.done)
        found = read_export(blocks, transactions, after=first - 1)
        while (block := await asyncio.to_thread(next, found, None)) is not None:
            await outlet.send(block)
        if not outlet.sent:
            watch.say(f"nothing to send: {blocks} has no block from height {first} on")
