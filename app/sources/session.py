"""One run of a source: where it begins, a range or following, and what runs beside."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from app.config import Settings
from app.errors import ConfigurationError, SigstreamError
from app.model.keys import canonical_symbol
from app.sources.block_requests import answer_requests, hear_requests
from app.sources.feed import Feed
from app.sources.follow import follow
from app.sources.ingest import BlockProducer
from app.sources.node import Node
from app.sources.outlet import Outlet
from app.sources.pace import Pace
from app.sources.resume import Resume, resume_point


class Wanted(NamedTuple):
    """Which blocks; heights are included."""

    chain: str
    first: int | None = None
    """None: behind the last block of the chain that was sent."""
    last: int | None = None
    """None: the tip."""
    follow: bool = False
    every_s: float | None = None
    """Pause between two looks at the tip; None: the source's own."""
    blocks_per_s: float | None = None


class Watch(Protocol):
    """Who is told how it goes."""

    def say(self, text: str) -> None:
        """A line for people."""

    def begin(self, first: int, last: int) -> None:
        """This range comes now."""

    def done(self, height: int) -> None:
        """This block has arrived."""


Side = Callable[[Feed], Coroutine[Any, Any, None]]
"""What runs beside following, for as long."""


async def run_session(
    settings: Settings,
    node: Node,
    wanted: Wanted,
    watch: Watch,
    *,
    in_flight: int = 1,
    every_s: float = 5.0,
    wake: asyncio.Event | None = None,
    sides: Sequence[Side] = (),
) -> None:
    """Send what is wanted; with `follow`, for ever, at a look every `every_s` unless wanted otherwise.

    Raises SigstreamError.
    """
    chain = canonical_symbol(wanted.chain)
    if wanted.follow and wanted.last is not None:
        raise ConfigurationError("--follow has no end: leave out --to, or --follow")
    if wanted.every_s is not None and not wanted.follow:
        raise ConfigurationError("--poll belongs to following: add --follow")
    async with BlockProducer(settings) as producer:
        resume = Resume({}) if wanted.first is not None else await resume_point(settings, chain)
        first, last = await _range(node, wanted, resume, watch)
        outlet = Outlet(producer, chain, Pace(wanted.blocks_per_s), watch.done)
        feed = Feed(node, outlet, resume.known, in_flight=in_flight)
        if first <= last:
            watch.begin(first, last)
        if not wanted.follow:
            await feed.advance(first, last)
            return
        async with hear_requests(settings) as requests:
            following = follow(feed, first, every_s=wanted.every_s or every_s, wake=wake or asyncio.Event())
            answering = answer_requests(requests, feed)
            await _together([following, answering, *(side(feed) for side in sides)])


async def _range(node: Node, wanted: Wanted, resume: Resume, watch: Watch) -> tuple[int, int]:
    """First and last height, and why. Raises ConfigurationError when nothing tells the first."""
    first = wanted.first
    if first is None and resume.last is not None:
        first = resume.last + 1
    await node.check(first, wanted.last)
    tip = (await node.tip()).height
    last = tip if wanted.last is None else wanted.last
    if wanted.first is not None:
        watch.say(f"from block {wanted.first} on, as --from says")
    elif resume.known:
        watch.say(resume.say(wanted.chain))
    elif wanted.follow:
        first = tip
        watch.say(f"the topic holds no block of {wanted.chain}: from the tip, block {tip}, on")
    if first is None:
        raise ConfigurationError(
            f"the topic holds no block of {wanted.chain} to resume behind: say where to begin with --from"
        )
    if first > last and not wanted.follow:
        watch.say(f"nothing to send: block {last} is the last one asked for")
    return first, last


async def _together(work: Sequence[Coroutine[Any, Any, None]]) -> None:
    """All until one fails; its error alone is raised."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for each in work:
                tasks.create_task(each)
    except BaseExceptionGroup as group:
        errors = [error for error in group.exceptions if isinstance(error, SigstreamError)]
        if not errors:
            raise
        raise errors[0] from group


async def until_stopped(work: Coroutine[Any, Any, None], signals: Sequence[int]) -> bool:
    """Run until the work ends (True) or one of the signals comes (False); it may clean up."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in signals:
        loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task
        return True
    return False
