"""Runs of the source Bitcoin Core: a range, or following with ZMQ and mempool snapshots beside."""

import asyncio
from typing import NamedTuple

from app.config import Settings
from app.errors import ConfigurationError
from app.sources.core_node import CoreNode
from app.sources.core_rpc import CoreRpc
from app.sources.core_zmq import wake_on_blocks
from app.sources.feed import Feed
from app.sources.mempool import send_snapshots
from app.sources.session import Side, Wanted, Watch, run_session


class Beside(NamedTuple):
    """What a followed node is asked for beside blocks."""

    zmq: str | None = None
    """Address of its `zmqpubhashblock`."""
    mempool_every_s: float | None = None
    """Pause between two snapshots of its mempool; None: none."""


async def feed_from_core(settings: Settings, wanted: Wanted, beside: Beside, watch: Watch) -> None:
    """Send the node's blocks; with `wanted.follow`, for ever. Raises SigstreamError."""
    if (beside.zmq or beside.mempool_every_s) and not wanted.follow:
        raise ConfigurationError("--zmq and --mempool-every belong to following: add --follow")
    wake = asyncio.Event()
    async with CoreRpc(settings) as rpc:
        await run_session(
            settings,
            CoreNode(rpc),
            wanted,
            watch,
            in_flight=settings.core_in_flight,
            wake=wake,
            sides=_sides(settings, rpc, beside, wake),
        )


def _sides(settings: Settings, rpc: CoreRpc, beside: Beside, wake: asyncio.Event) -> list[Side]:
    sides: list[Side] = []
    if (endpoint := beside.zmq) is not None:

        async def listen(feed: Feed) -> None:
            await wake_on_blocks(endpoint, wake)

        sides.append(listen)
    if (every_s := beside.mempool_every_s) is not None:

        async def snap(feed: Feed) -> None:
            await send_snapshots(settings, rpc, feed.outlet.producer, feed.outlet.chain, every_s)

        sides.append(snap)
    return sides
