"""Dedupe by Faust's own command: two workers share the partitions, and one takes over from the other."""

import sys
from collections import Counter
from contextlib import AbstractContextManager

from app.config import Settings
from app.model.receipt import RECEIPT_DECODER, Outcome
from tests.support.probe import Probe, probe, until, without_repeats
from tests.support.processes import Worker, program
from tests.support.signals import Message, batch_of, raw

BATCHES = 6000
PLAIN = [sys.executable, "-m", "faust", "-A", "topologies.dedupe", "worker"]
SESSION_S = 8.0
"""After which the group gives a killed worker's partitions away."""


def faust(settings: Settings, name: str) -> AbstractContextManager[Worker]:
    """A worker by the command that Faust's documentation teaches."""
    return program(settings, PLAIN, name)


async def test_two_plain_workers_share_and_one_takes_over_from_the_other(settings: Settings) -> None:
    n = settings.signal_partitions
    messages = [raw(batch_of(number), n) for number in range(BATCHES)]
    async with probe(settings) as found:
        with faust(settings, "one") as one, faust(settings, "two") as two:
            await until(lambda: owned_by(found, 2), "two members", log=lambda: one.log + two.log)
            await kill_in_mid_stream(found, one, messages)
            await until(lambda: owned_by(found, 1), "a takeover", 4 * SESSION_S, lambda: two.log)
            await found.send("signals.raw", messages)
            await until(lambda: drained(found, two), "no lag", log=lambda: two.log)
            assert two.stop() == 0
        taken = Counter(record.key for record in without_repeats(await found.read("signals")))
        known = await same(found)
    assert set(taken) == {message[0] for message in messages}, "lost"
    assert {key: count for key, count in taken.items() if count > 1} == {}, "doubled"
    assert known == set(taken), "not known as seen when they came again"


async def owned_by(found: Probe, members: int) -> bool:
    """Whether this many members have all partitions, each some, none twice."""
    shares = [owned for owned in (await found.shares("dedupe", "signals.raw")).values() if owned]
    everything = list(range(found.settings.signal_partitions))
    return len(shares) == members and sorted(p for owned in shares for p in owned) == everything


async def kill_in_mid_stream(found: Probe, victim: Worker, messages: list[Message]) -> None:
    """With part of the output there and part of the input uncommitted."""
    await found.send("signals.raw", messages)

    async def far_enough() -> bool:
        return await found.count("signals") > BATCHES // 20

    await until(far_enough, "a twentieth of the records", log=lambda: victim.log)
    assert victim.kill() == -9
    assert await found.count("signals") < BATCHES
    assert await found.lag("dedupe", "signals.raw") > 0


async def drained(found: Probe, running: Worker) -> bool:
    assert running.returncode is None, running.log
    return await found.lag("dedupe", "signals.raw") == 0


async def same(found: Probe) -> set[bytes | None]:
    """Keys that a receipt calls the same as before."""
    records = await found.read("signals.persisted")
    return {r.key for r in records if Outcome.SAME in RECEIPT_DECODER.decode(r.value or b"").outcomes}
