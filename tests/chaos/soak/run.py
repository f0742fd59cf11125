"""The loop: a fault, caught up, nothing wrong, the next fault."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

from app.config import Settings
from tests.chaos.soak.crew import Crew
from tests.chaos.soak.faults import KINDS
from tests.chaos.soak.judge import Damage, Judge, NotCaughtUp
from tests.chaos.soak.load import Load
from tests.chaos.soak.place import Place, chapter
from tests.chaos.soak.rig import NotProven, Rig
from tests.support.probe import probe

Say = Callable[[str], None]
CHAPTER = 12
"""Faults into one pipeline before an empty one takes its place: the BigQuery emulator slows down with the
rows it has, some 0.4 s an append at 25,000."""


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
    stuck: list[str] = field(default_factory=list)
    """Where a pipeline did not catch up; the rest of its chapter was left out."""
    last: Settings | None = None
    """Of the last pipeline, past the proxies: its topics and stores are still there."""

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


Keep = Callable[[Course], None]


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


async def soak(place: Place, seed: int, faults: int, kinds: Sequence[str], say: Say, keep: Keep) -> Course:
    """Inject so many faults, drawn by the seed; `keep` is told what came of them after each chapter."""
    course = Course(seed, [])
    drawn = list(draw(Random(seed), list(kinds), faults))
    for begin in range(0, faults, CHAPTER):
        here = await chapter(place, f"soak{begin}")
        course.last = here.direct
        await _chapter(here, course, seed + begin, drawn[begin : begin + CHAPTER], say)
        keep(course)
    return course


async def _chapter(place: Place, course: Course, seed: int, kinds: Sequence[str], say: Say) -> None:
    judge = Judge(place.direct)
    kind = "before any fault"
    async with open_rig(place, seed) as rig:
        try:
            await rig.load.burst()
            await _rest(rig, judge)
            for kind in kinds:
                begun = time.monotonic()
                result = await _one(rig, judge, kind)
                course.results.append(result)
                _tell(say, len(course.results), result, judge.signals, time.monotonic() - begun)
        except NotCaughtUp as error:
            course.stuck.append(f"{kind}: {error}")
            say(f"STUCK: {kind}: {error}")
    course.signals += judge.signals


def _tell(say: Say, number: int, result: Result, signals: int, took_s: float) -> None:
    proof = result.proof or "DID NOT HAPPEN"
    times = f"caught up after {result.seconds:.1f} s; {took_s:.0f} s in all"
    say(f"{number} {result.kind}: {proof}; {times}; {signals:,} signals")
    for line in result.damage.says:
        say(f"    {line}")


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
    judge.strangers = rig.strangers
    rig.strangers = 0
    seconds = await _rest(rig, judge)
    damage = await judge.damage()
    if missed:
        damage.says.append(missed)
    return Result(kind, proof, seconds, damage)
