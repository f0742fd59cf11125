"""Following a chain: the node is asked every few seconds, and sooner when something wakes us."""

import asyncio

import structlog

from app.errors import NodeRefused, Transient
from app.sources.core_errors import PASSING
from app.sources.feed import Feed

log = structlog.get_logger()


async def follow(feed: Feed, first: int, *, every_s: float, wake: asyncio.Event) -> None:
    """Send new blocks for ever, from `first` on; a node that is away is waited for.

    Asking is the truth: what sets `wake` may be lost, doubled or false. Raises Terminal.
    """
    while True:
        wake.clear()
        try:
            await catch_up(feed, first)
        except Transient as error:
            log.warning("the node can't be followed now", chain=feed.outlet.chain, reason=str(error))
        except NodeRefused as error:
            if error.code not in PASSING:
                raise
            log.warning("the chain changed while it was read", chain=feed.outlet.chain, reason=str(error))
        await _wait(wake, every_s)


async def catch_up(feed: Feed, first: int) -> None:
    """Send what lies between what was sent (nothing: `first`) and the tip, on the tip's branch."""
    tip = await feed.node.tip()
    if feed.known.get(tip.height) == tip.hash:
        return
    start = max(feed.known) + 1 if feed.known else first
    if tip.height >= start:
        await feed.advance(start, tip.height)
    elif feed.known:
        await feed.send(await feed.node.block(tip.hash))


async def _wait(wake: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        return
