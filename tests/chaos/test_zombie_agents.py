"""A Faust worker that stands still in mid-stream, is replaced, and wakes up: it writes nothing any more.

All agents at once, as most of the time goes by until Kafka has given up on them.
"""

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass

from app.config import Settings
from app.sources.simulator import simulate
from app.streaming.delivery import EXIT_CODE
from app.streaming.topics import changelog
from tests.support.blocks import message
from tests.support.drained import drained
from tests.support.probe import Probe, probe, until
from tests.support.processes import Worker, struck, worker
from tests.support.signals import batch_of, forwarded, raw, receipts_for

BATCHES = 1500
BLOCKS = 150


@dataclass(frozen=True)
class Stage:
    """An agent, its main input and output, and its table."""

    name: str
    source: str
    target: str
    table: str
    partitions: int
    amid: int
    """The send before which it stops."""


async def test_a_zombie_writes_nothing_when_it_wakes(settings: Settings) -> None:
    n = settings.signal_partitions
    stages = [
        Stage("dedupe", "signals.raw", "signals", "seen", n, BATCHES // 3),
        Stage("receipts", "signals.persisted", "signals.settled", "outstanding", n, BATCHES // 6),
        Stage("blocks", "block-features", "signals.raw", "chains", 1, BLOCKS),
    ]
    await asyncio.gather(*[zombie_of(stage, own(settings, stage.name)) for stage in stages])


def own(settings: Settings, name: str) -> Settings:
    """A pipeline of the story's own."""
    directory = settings.data_dir / name
    directory.mkdir()
    return settings.model_copy(update={"namespace": f"{settings.namespace}-{name}", "data_dir": directory})


async def zombie_of(stage: Stage, settings: Settings) -> None:
    async with probe(settings) as found:
        with ExitStack() as running:
            await fill(found, stage, settings)
            fault = f"SIGSTOP@forwarding:{stage.amid}"
            zombie = running.enter_context(struck(settings, fault, stage.name))
            await stands_still(found, zombie, stage)
            successor = running.enter_context(worker(settings, stage.name, tag="-2"))
            await drained(found, successor, stage.name, stage.source)
            before = await written(found, stage, settings)
            zombie.resume()
            await ended_or_back(found, zombie, stage)
            await drained(found, successor, stage.name, stage.source)
            assert await written(found, stage, settings) == before, f"{stage.name}:\n{zombie.log}"
            assert zombie.returncode == EXIT_CODE, f"{stage.name}:\n{zombie.log}"
            again = running.enter_context(worker(settings, stage.name, tag="-3"))
            await until(lambda: both(found, stage), f"two members of {stage.name}", log=lambda: again.log)
            assert (again.stop(), successor.stop()) == (0, 0), again.log + successor.log


async def fill(found: Probe, stage: Stage, settings: Settings) -> None:
    """What the agent has to do."""
    if stage.name == "blocks":
        await found.send("blocks", map(message, simulate(BLOCKS, seed=3)))
    elif stage.name == "dedupe":
        n = settings.signal_partitions
        await found.send("signals.raw", (raw(batch_of(number), n) for number in range(BATCHES)))
    else:
        signals = forwarded(BATCHES // 2, "a", settings.signal_partitions)
        await found.send("signals", signals)
        await found.send("signals.persisted", receipts_for(signals, settings.topic("signals"), "a"))


async def stands_still(found: Probe, running: Worker, stage: Stage) -> None:
    """In mid-stream, with work left."""

    async def suspended() -> bool:
        assert running.returncode is None, running.log
        return running.suspended

    await until(suspended, f"a zombie of {stage.name}", log=lambda: running.log)
    assert await found.lag(stage.name, stage.source) > 0


async def ended_or_back(found: Probe, zombie: Worker, stage: Stage) -> None:
    async def woke() -> bool:
        return zombie.returncode is not None or await both(found, stage)

    await until(woke, f"an end of the zombie of {stage.name}", log=lambda: zombie.log)


async def both(found: Probe, stage: Stage) -> bool:
    return len(await found.shares(stage.name, stage.source)) == 2


async def written(found: Probe, stage: Stage, settings: Settings) -> tuple[int, int]:
    """Records of the agent's output, and of its changelog."""
    log = changelog(settings, stage.name, stage.table, stage.partitions)
    return await found.count(stage.target), await found.count_topic(log.name, log.partitions)
