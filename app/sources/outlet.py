"""Where a source's blocks go: one after the other onto `blocks`, each acknowledged before the next.

So that the highest block on the topic is the last of all that were sent: a source that is killed resumes
behind it, and nothing is missing below.
"""

from collections.abc import Callable

from app.sources.ingest import BlockProducer
from app.sources.pace import Pace
from app.sources.trim import TrimmedBlock, record_of

Done = Callable[[int], None]
"""Told the height of each block that has arrived."""


class Outlet:
    """Sends trimmed blocks of one chain at a given pace; `sent` counts them."""

    def __init__(
        self, producer: BlockProducer, chain: str, pace: Pace | None = None, done: Done = lambda _: None
    ) -> None:
        self.producer = producer
        self.chain = chain
        self.sent = 0
        self._pace = pace or Pace(None)
        self._done = done

    async def send(self, block: TrimmedBlock) -> None:
        """Send and wait for the acknowledgement. Raises DeliveryFailed, and ContractError: over 32 MB."""
        await self._pace.turn()
        await self.producer.send(f"block {block.height}", record_of(block, self.chain))
        self.sent += 1
        self._done(block.height)
