"""A worker whose clock jumps."""

import asyncio

from tests.chaos.soak.rig import Rig, expect

JUMPS_S = (-86_400.0, -3600.0, -10.0, 10.0, 3600.0, 86_400.0)


async def jump(rig: Rig, stage: str) -> str:
    """`time.time` of the process jumps, and jumps back."""
    clock, seconds = rig.crew.clocks[stage], rig.rng.choice(JUMPS_S)
    await rig.load.burst()
    clock.shift(seconds)
    try:
        await rig.load.burst()
        await asyncio.sleep(rig.rng.uniform(2, 4))
        reads = clock.reads
    finally:
        clock.shift(0.0)
    expect(reads, f"{stage} never looked at its clock")
    return f"{seconds:+g} s, read {reads} times"
