"""No room left for what workers remember."""

import asyncio

from tests.chaos.soak.rig import Rig
from tests.support.faults.disk import fill, release

SIGNS = ("No space left", "no space left", "disk is full", "disk I/O error", "worker stops", "StateFailed")


async def full(rig: Rig) -> str:
    """The workers' data directory is full to the last byte; then there is room again."""
    marks = {stage: rig.crew.mark(stage) for stage in rig.crew.stages}
    ended = len(rig.crew.ended)
    filled = fill(rig.place.disk)
    try:

        async def noticed() -> list[str]:
            await rig.load.burst(200, 3)
            fill(rig.place.disk)
            await asyncio.sleep(0.5)
            return [s for s, mark in marks.items() if any(x in rig.crew.log_since(s, mark) for x in SIGNS)]

        stages = await rig.until(noticed, "a worker meets ENOSPC", 90.0)
        await asyncio.sleep(rig.rng.uniform(0, 2))
    finally:
        release(rig.place.disk)
    codes = [f"{end.stage} {end.code}" for end in rig.crew.ended[ended:]]
    return f"ENOSPC after {filled} bytes; {', '.join(stages)} said so; ended: {', '.join(codes) or 'nobody'}"
