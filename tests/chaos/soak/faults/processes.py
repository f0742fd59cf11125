"""Workers that die, stop, come and go, or come back from the dead."""

import asyncio
import signal

from tests.chaos.soak.rig import Rig, expect, topic_of

SESSION_S = 8.0
"""After which the group gives away what a silent member has."""


async def kill(rig: Rig, stage: str) -> str:
    """kill -9 in mid-stream, at a random moment."""
    await rig.load.burst()
    await rig.until(lambda: rig.lag(stage), f"{stage} is at work")
    await asyncio.sleep(rig.rng.uniform(0, 0.5))
    with rig.crew.left_alone(stage) as worker:
        code = worker.kill()
        expect(code == -signal.SIGKILL, f"{stage} ended with {code}, not -9")
        left = await rig.has_lag(stage)
    return f"exit code -9, {left} records not committed"


async def stop(rig: Rig, stage: str) -> str:
    """SIGTERM: it finishes what is in flight, and leaves in order."""
    await rig.load.burst()
    left = await rig.until(lambda: rig.lag(stage), f"{stage} is at work")
    with rig.crew.left_alone(stage) as worker:
        code = await asyncio.to_thread(worker.stop)
        expect(code == 0, f"{stage} ended with {code}, not 0; its log ends:\n{worker.log}")
    return f"asked with {left} records not committed, exit code 0"


async def rebalance(rig: Rig, stage: str) -> str:
    """A second worker comes, gets its share, and goes: in order, or by kill -9."""
    async with rig.crew.second(stage) as other:
        await rig.load.burst()
        await rig.until(lambda: _two(rig, stage), f"{stage} has two members")
        shares = sorted(len(owned) for owned in (await rig.probe.shares(stage, topic_of(stage))).values())
        await rig.load.burst()
        if rig.rng.random() < 0.5:
            code = other.kill()
        else:
            code = await asyncio.to_thread(other.stop)
            expect(code == 0, f"the second {stage} ended with {code}; its log ends:\n{other.log}")
    return f"two members, shares {shares}; the second left with exit code {code}"


async def _two(rig: Rig, stage: str) -> bool:
    return await rig.joined(stage) >= 2


async def zombie(rig: Rig, stage: str) -> str:
    """SIGSTOP past the session's timeout, another takes over, SIGCONT: the first knows of nothing."""
    with rig.crew.left_alone(stage) as first:
        async with rig.crew.second(stage) as other:
            await rig.until(lambda: _two(rig, stage), f"{stage} has two members")
            await rig.load.burst()
            first.suspend()
            try:
                await rig.until(lambda: _one(rig, stage), f"{stage}: the silent member is thrown out")
                await rig.load.burst()
                await asyncio.sleep(rig.rng.uniform(0.5, 2.0))
            finally:
                first.resume()
            await asyncio.sleep(rig.rng.uniform(1.0, 3.0))
            code = await asyncio.to_thread(other.stop)
    return f"the other had all partitions meanwhile; it left with exit code {code}"


async def _one(rig: Rig, stage: str) -> bool:
    return await rig.joined(stage) == 1
