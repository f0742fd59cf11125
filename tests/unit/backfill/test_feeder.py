"""The source of a backfill waits while a stage is far behind."""

import asyncio

from app.backfill.feeder import AHEAD, IN_FLIGHT, Gate


async def test_no_more_is_sent_than_there_is_room_for() -> None:
    gate = Gate()
    await gate.measured(AHEAD - 2 * IN_FLIGHT)
    await gate.take(IN_FLIGHT)
    await gate.take(IN_FLIGHT)
    third = asyncio.create_task(gate.take(IN_FLIGHT))
    for furthest in (AHEAD, AHEAD - IN_FLIGHT + 1):
        await gate.measured(furthest)
        assert not (await asyncio.wait({third}, timeout=0.05))[0]
    await gate.measured(AHEAD - IN_FLIGHT)
    await asyncio.wait_for(third, 10)
