"""The loop: a fault, caught up, nothing wrong, the next fault."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

from tests.chaos.soak.crew import Crew
from tests.chaos.soak.faults import KINDS
from tests.chaos.soak.judge import Damage, Judge, NotCaughtUp
from tests.chaos.soak.load import Load
from tests.chaos.soak.place import Place
from tests.chaos.soak.rig import NotProven, Rig
from tests.support.probe import probe

Say = Callable[[str], None]


@dataclass
class Result:
    """Of one fault."""

    kind: str
    proof: str
    """Empty: it did not happen, and does not count."""
    seconds: float
    """Until caught up."""
    damage: Damage


@dataclass
class Course:
    """Of a whole run."""

    seed: int
    results: list[Result]
    signals: int = 0
    """That came in."""
    stuck: str = ""
    """Why the run ended early."""

    @property
    def holds(self) -> bool:
        """Every fault happened, and did no damage."""
        return not self.stuck and all(result.proof and not result.damage.any for result in self.results)


def draw(rng: Random, kinds: Sequence[str], count: int) -> Iterator[str]:
    """Kinds in random order, each once before any comes again."""
    deck: list[str] = []
    for _ in range(count):
        deck = deck or rng.sample(kinds, len(kinds))
        yield deck.pop()


@asynccontextmanager
async def open_rig(place: Place, seed: int) -> AsyncIterator[Rig]:
    """Workers and load running."""
    crew = Crew(place.proxied, place.directory)
    async with probe(place.direct) as found, asyncio.TaskGroup() as tasks:
        load = Load(found, seed)
        running = [tasks.create_task(crew.look_after()), tasks.create_task(load.run())]
        try:
            yield Rig(place, crew, load, found, Random(f"{seed}|faults"))
        finally:
            for task in running:
                task.cancel()


async def soak(place: Place, seed: int, faults: int, kinds: Sequence[str], say: Say) -> Course:
    """Inject so many faults, drawn by the seed."""
    course = Course(seed, [])
    judge = Judge(place.direct)
    async with open_rig(place, seed) as rig:
        kind = "before any fault"
        try:
            await rig.load.burst()
            await _rest(rig, judge)
            for number, kind in enumerate(draw(Random(seed), list(kinds), faults), 1):
                begun = time.monotonic()
                result = await _one(rig, judge, kind)
                course.results.append(result)
                took = time.monotonic() - begun
                say(f"{number}/{faults} {kind}: {result.proof or 'DID NOT HAPPEN'}; caught up after "
                    f"{result.seconds:.1f} s; {judge.signals:,} signals; {took:.0f} s in all")  # fmt: skip
                for line in result.damage.says:
                    say(f"    {line}")
        except NotCaughtUp as error:
            course.stuck = f"{kind}: {error}"
            say(course.stuck)
    course.signals = judge.signals
    return course


async def _rest(rig: Rig, judge: Judge) -> float:
    """Seconds until caught up, with no more load."""
    await rig.load.pause()
    return await judge.caught_up()


async def _one(rig: Rig, judge: Judge, kind: str) -> Result:
    rig.load.resume()
    try:
        proof = await KINDS[kind](rig)
        missed = ""
    except NotProven as error:
        proof, missed = "", str(error)
    seconds = await _rest(rig, judge)
    damage = await judge.damage()
    if missed:
        damage.says.append(missed)
    return Result(kind, proof, seconds, damage)
