"""Waiting for a worker to be done."""

from tests.support.probe import Probe, until
from tests.support.processes import Worker


async def drained(found: Probe, running: Worker, stage: str, *topics: str) -> None:
    """The stage has committed all there is, and its worker lives."""

    async def nothing_left() -> bool:
        assert running.returncode is None, running.log
        return not any([await found.lag(stage, topic) for topic in topics])

    await until(nothing_left, f"{stage} without lag on {topics}", log=lambda: running.log)
