"""The rate limit, by the loop's clock."""

import asyncio

import pytest

from app.sources.pace import Pace


async def test_turns_are_evenly_apart_without_a_burst_after_a_pause() -> None:
    pace, clock = Pace(50), asyncio.get_running_loop().time
    await pace.turn()
    await asyncio.sleep(0.1)
    began = clock()
    for _ in range(6):
        await pace.turn()
    assert clock() - began >= 5 / 50 - 0.001


async def test_waiters_share_the_rate() -> None:
    pace, clock = Pace(100), asyncio.get_running_loop().time
    began = clock()
    await asyncio.gather(*(pace.turn() for _ in range(11)))
    assert clock() - began >= 10 / 100 - 0.001


def test_no_rate_is_no_wait() -> None:
    """A turn ends without giving way once: that takes no loop."""
    with pytest.raises(StopIteration):
        Pace(None).turn().send(None)
