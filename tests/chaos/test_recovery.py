"""A worker that is disturbed while it fills its table from the changelog: whoever goes on knows every key."""

from collections.abc import AsyncIterator, Iterable

import pytest

from app.config import Settings
from app.streaming.delivery import EXIT_CODE
from tests.support.drained import drained
from tests.support.probe import Probe, probe, until, without_repeats
from tests.support.processes import struck, worker
from tests.support.signals import batch_of, raw

BATCHES = 3000


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Tables in memory: each start is one without its directory."""
    return settings.model_copy(update={"dedupe_store": "memory"})


@pytest.fixture
async def known(settings: Settings) -> AsyncIterator[Probe]:
    """A changelog of so many keys, and all of them sent once more while no worker runs."""
    async with probe(settings) as found:
        await send(found, range(BATCHES))
        with worker(settings, "dedupe", tag="-before") as before:
            await drained(found, before, "dedupe", "signals.raw")
            assert before.stop() == 0
        await send(found, range(BATCHES))
        yield found


async def send(found: Probe, numbers: Iterable[int]) -> None:
    n = found.settings.signal_partitions
    await found.send("signals.raw", (raw(batch_of(number), n) for number in numbers))


async def all_once(found: Probe, batches: int = BATCHES) -> None:
    taken = [record.key for record in without_repeats(await found.read("signals"))]
    assert len(taken) == len(set(taken)) == batches


async def test_killed_amid_it(known: Probe, settings: Settings) -> None:
    with struck(settings, "SIGKILL@filling:2", "dedupe") as first:

        async def dead() -> bool:
            return first.returncode is not None

        await until(dead, "a worker killed while it fills its table", log=lambda: first.log)
        assert first.returncode == -9
    assert await known.lag("dedupe", "signals.raw") == BATCHES
    with worker(settings, "dedupe") as second:
        await drained(known, second, "dedupe", "signals.raw")
        assert "tables filled" in second.log
        assert second.stop() == 0
    await all_once(known)


async def test_replaced_amid_it_and_woken(known: Probe, settings: Settings) -> None:
    """What it has read by then is of partitions that are somebody else's."""
    with struck(settings, "SIGSTOP@filling:2", "dedupe") as zombie:

        async def suspended() -> bool:
            return zombie.suspended

        await until(suspended, "a worker stopped while it fills its table", log=lambda: zombie.log)
        with worker(settings, "dedupe") as second:
            await drained(known, second, "dedupe", "signals.raw")
            zombie.resume()

            async def ended_or_back() -> bool:
                shares = await known.shares("dedupe", "signals.raw")
                return zombie.returncode == EXIT_CODE or len(shares) == 2

            await until(ended_or_back, "an end of the zombie", log=lambda: zombie.log)
            await send(known, range(BATCHES + 100))
            await drained(known, second, "dedupe", "signals.raw")
            assert second.stop() == 0
    await all_once(known, BATCHES + 100)
