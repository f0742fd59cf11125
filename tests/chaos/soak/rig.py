"""What a fault is injected into, and what the faults share."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from aiokafka.errors import KafkaError

from app.query.offsets import LAST, READS
from tests.chaos.soak.crew import Crew
from tests.chaos.soak.load import Load
from tests.chaos.soak.place import Place
from tests.support.probe import Probe, until

DEADLINE_S = 180.0


class NotProven(AssertionError):
    """A fault that did not happen, or left no trace."""


@dataclass
class Rig:
    """A running pipeline under load; `rng` decides what a fault leaves open."""

    place: Place
    crew: Crew
    load: Load
    probe: Probe
    rng: Random
    strangers: int = 0
    """Records that this fault has written to `signals` past dedupe."""

    async def lag(self, stage: str) -> int:
        """Records that the stage has not committed."""
        topics = {**READS, **LAST}.get(stage, ("signals",))
        return sum([await self.probe.lag(stage, topic) for topic in topics])

    async def members(self, stage: str) -> int:
        """That have partitions; 0 while the group is not stable."""
        shares = await self.probe.shares(stage, topic_of(stage))
        return len([owned for owned in shares.values() if owned])

    async def joined(self, stage: str) -> int:
        """Members of a stable group, with partitions or without."""
        return len(await self.probe.shares(stage, topic_of(stage)))

    async def until(
        self, condition: Callable[[], Awaitable[Any]], what: str, deadline_s: float = DEADLINE_S
    ) -> Any:
        """Wait for a trace of the fault. Raises NotProven."""

        async def patient() -> Any:
            try:
                return await condition()
            except KafkaError:  # the broker has just started, or not yet
                return None

        try:
            return await until(patient, what, deadline_s)
        except AssertionError as error:
            raise NotProven(str(error)) from None

    async def has_lag(self, stage: str) -> int:
        """Lag that the fault has left behind. Raises NotProven."""
        return int(await self.until(lambda: self.lag(stage), f"{stage} has work left", 10.0))

    async def while_load_goes_on(self, seconds: float) -> None:
        """The fault lasts."""
        await asyncio.sleep(seconds)


def topic_of(stage: str) -> str:
    """What its group reads first."""
    return {"blocks": "blocks", "dedupe": "signals.raw", "receipts": "signals"}.get(stage, "signals")


Fault = Callable[[Rig], Awaitable[str]]
"""Injects, proves (what it returns says how), and heals; NotProven when nothing happened."""


def expect(holds: object, what: str) -> None:
    """Raises NotProven."""
    if not holds:
        raise NotProven(what)
