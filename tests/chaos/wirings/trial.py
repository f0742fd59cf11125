"""One wiring under load and faults, and what of the load came out."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from app.config import Settings
from app.embedded.leash import leashed
from app.streaming.topics import SIGNAL_BYTES, changelog, ensure_topics
from tests.support.faults.proxy import Proxy
from tests.support.probe import Probe, probe, until, without_repeats
from tests.support.processes import Worker
from tests.support.signals import Message, batch_of, raw

RECORDS = 1200
"""A round."""
NAMES = 20
A_TRANSACTION = 12
"""Records; each transaction leaves a marker on each partition: a gap in the offsets."""
TRICKLE_S = 0.3
"""Between two small parts of what comes in while a worker takes over, which lasts longer than a session."""
LAST = 200
"""Records behind the last round, on all partitions."""
DRAIN_S = 150.0
PATIENCE_S = 150.0
STALL_S = 25.0
"""Without any progress for so long, somebody kills the worker."""
ROUNDS = ("takeover", "kill", "kill", "kill", "rebalance", "rebalance", "rebalance", "refuse")


@dataclass
class Outcome:
    """Signals; `doubled` after the origin rule."""

    wiring: str
    rounds: str
    signals: int
    lost: int
    """Committed past, and neither forwarded nor a dead letter."""
    unhandled: int
    """Not committed past after some minutes: the worker did not get there."""
    forwarded_twice: int
    doubled: int
    by_round: dict[str, int]
    """Lost, by the fault during which they came in."""
    stalls: int
    """Times that a worker had to be killed as it did nothing any more."""


class Trial:
    """One wiring on a namespace of its own; `rounds` are of ROUNDS, and shuffled but for `takeover`: it is of
    a group that has not committed anything yet."""

    def __init__(
        self, wiring: str, direct: Settings, proxied: Settings, proxy: Proxy, rounds: Sequence[str], seed: int
    ) -> None:
        self.wiring = wiring
        self._direct = direct
        self._proxied = proxied
        self._proxy = proxy
        self._rng = Random(f"{seed}|wirings")
        shuffled = self._rng.sample(rounds, len(rounds))
        self._faults = sorted(shuffled, key=lambda fault: fault != "takeover")
        self._workers: list[Worker] = []
        self._rounds: list[tuple[str, range]] = []
        self.stalls = 0

    async def run(self, say: Callable[[str], None]) -> Outcome:
        """All rounds, then everything handled, then counted."""
        n = self._direct.signal_partitions
        async with probe(self._direct) as found:
            await ensure_topics(self._direct, [changelog(self._direct, "dedupe", "seen", n)])
            self._start()
            try:
                for number, fault in enumerate(self._faults):
                    numbers = range(number * RECORDS, (number + 1) * RECORDS)
                    self._rounds.append((fault, numbers))
                    await self._round(found, fault, [raw(batch_of(i, NAMES), n) for i in numbers])
                    say(f"    {fault}, lag {await found.lag('dedupe', 'signals.raw')}")
                await self._end(found)
                await self._drain(found)
            finally:
                for worker in self._workers:
                    worker.kill()
            return await self._count(found)

    def _start(self) -> Worker:
        faust = [sys.executable, "-P", "-m", "faust", "-q", "-L", "uvloop", "-l", "warn"]
        module = f"tests.chaos.wirings.{self.wiring}"
        command = leashed([*faust, "-A", module, "worker", "--without-web"])
        self._workers.append(Worker(command, self._proxied, self._log))
        return self._workers[-1]

    @property
    def _log(self) -> Path:
        return self._direct.data_dir / "worker.log"

    async def _send(self, messages: list[Message]) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._direct.kafka, transactional_id=self._direct.namespace, linger_ms=0
        )
        await producer.start()
        try:
            for start in range(0, len(messages), A_TRANSACTION):
                async with producer.transaction():
                    for key, value, partition, headers in messages[start : start + A_TRANSACTION]:
                        topic = self._direct.topic("signals.raw")
                        await producer.send(topic, value, key=key, partition=partition, headers=headers)
        finally:
            await producer.stop()

    async def _end(self, found: Probe) -> None:
        """Plain records behind the last markers, which Faust never commits."""
        numbers = range(len(self._faults) * RECORDS, len(self._faults) * RECORDS + LAST)
        self._rounds.append(("none", numbers))
        n = self._direct.signal_partitions
        await found.send("signals.raw", [raw(batch_of(i, NAMES), n) for i in numbers])

    async def _round(self, found: Probe, fault: str, messages: list[Message]) -> None:
        if fault == "takeover":
            await self._take_over(found, messages)
            return
        await self._send(messages)
        strike = {"kill": self._kill, "rebalance": self._rebalance, "refuse": self._refuse}[fault]
        async with self._slow(found, await found.count("signals")):
            await asyncio.sleep(self._rng.uniform(0, 1.5))
            await strike(found)

    @asynccontextmanager
    async def _slow(self, found: Probe, forwarded: int) -> AsyncIterator[None]:
        """The broker is slow to acknowledge, and some more is forwarded already."""
        self._proxy.produce_delay_s = self._rng.uniform(0.2, 0.8)
        try:
            await self._forwarding(found, forwarded + 100)
            yield
        finally:
            self._proxy.flow()

    async def _forwarding(self, found: Probe, count: int) -> None:
        """Until so much is forwarded; a worker that does nothing any more is killed."""
        try:
            await until(lambda: self._more(found, count), "the worker forwards", 2 * STALL_S)
        except AssertionError:
            self.stalls += 1
            await self._kill(found)

    async def _more(self, found: Probe, count: int) -> bool:
        self._revive()
        return await found.count("signals") > count or not await found.lag("dedupe", "signals.raw")

    async def _kill(self, _found: Probe) -> None:
        assert self._workers.pop().kill() == -9
        self._start()

    async def _join(self, found: Probe) -> Worker:
        """A second worker, with a share."""
        other = self._start()

        async def both() -> bool:
            self._revive()
            return len(await found.shares("dedupe", "signals.raw")) >= 2

        await until(both, "two members", PATIENCE_S, self._tail)
        return other

    async def _rebalance(self, found: Probe) -> None:
        other = await self._join(found)
        await asyncio.sleep(self._rng.uniform(0.5, 2.0))
        if other in self._workers:
            self._workers.remove(other)
            other.kill() if self._rng.random() < 0.5 else await asyncio.to_thread(other.stop)

    async def _take_over(self, found: Probe, messages: list[Message]) -> None:
        """One of two dies, and while the other gets its partitions, more comes in."""
        await self._join(found)
        forwarded = await found.count("signals")
        half = len(messages) // 2
        await found.send("signals.raw", messages[:half])  # much is read, and nothing committed
        async with self._slow(found, forwarded):
            assert self._workers.pop().kill() == -9
        for start in range(half, len(messages), A_TRANSACTION):
            await found.send("signals.raw", messages[start : start + A_TRANSACTION])
            await asyncio.sleep(TRICKLE_S)

        async def alone() -> bool:
            self._revive()
            shares = await found.shares("dedupe", "signals.raw")
            return [len(share) for share in shares.values()] == [self._direct.signal_partitions]

        await until(alone, "a takeover", PATIENCE_S, self._tail)

    async def _refuse(self, found: Probe) -> None:
        """Somebody lowers the topic's limit, notices, and raises it again."""
        await self._limit(1500)
        await asyncio.sleep(self._rng.uniform(1.5, 3.0))
        await self._limit(SIGNAL_BYTES)
        self._revive()

    async def _limit(self, max_bytes: int) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._direct.need_kafka())
        await admin.start()
        config = {"max.message.bytes": str(max_bytes), "message.timestamp.type": "LogAppendTime"}
        topic = self._direct.topic("signals")
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=config)])
        await admin.close()

    def _revive(self) -> None:
        """As a supervisor does."""
        for worker in [worker for worker in self._workers if worker.returncode is not None]:
            self._workers.remove(worker)
            self._start()

    async def _drain(self, found: Probe) -> None:
        last, since = -1, time.monotonic()

        async def done() -> bool:
            nonlocal last, since
            self._revive()
            lag = await found.lag("dedupe", "signals.raw")
            if lag != last:
                last, since = lag, time.monotonic()
            elif lag and time.monotonic() - since > STALL_S:
                self.stalls += 1
                since = time.monotonic()
                await self._kill(found)
            return lag == 0

        with suppress(AssertionError):
            await until(done, "all is handled", DRAIN_S)
        for worker in self._workers:
            with suppress(AssertionError):  # it does not stop: killed
                await asyncio.to_thread(worker.stop)

    def _tail(self) -> str:
        return self._log.read_text(errors="replace")[-3000:]

    async def _count(self, found: Probe) -> Outcome:
        records = await found.read("signals")
        there = Counter(record.key for record in records)
        taken = Counter(record.key for record in without_repeats(records))
        buried = {record.key for record in await found.read("dead-letters")}
        by_round, unhandled = await self._missing(found, {*taken, *buried})
        return Outcome(
            self.wiring,
            ", ".join(f"{count} {fault}" for fault, count in sorted(Counter(self._faults).items())),
            NAMES * sum(len(numbers) for _, numbers in self._rounds),
            sum(by_round.values()),
            unhandled,
            NAMES * sum(count - 1 for count in there.values()),
            NAMES * sum(count - 1 for count in taken.values()),
            dict(by_round),
            self.stalls,
        )

    async def _missing(self, found: Probe, answered: set[bytes | None]) -> tuple[Counter[str], int]:
        """Signals without an answer: lost, by round, and not handled yet."""
        committed = await found.committed("dedupe", "signals.raw")
        passed = {r.key: r.offset < committed[r.partition] for r in await found.read("signals.raw")}
        n = self._direct.signal_partitions
        lost: Counter[str] = Counter()
        unhandled = 0
        for fault, numbers in self._rounds:
            missing = {raw(batch_of(i, 1), n)[0] for i in numbers} - answered
            gone = sum(passed[key] for key in missing)
            lost[fault] += NAMES * gone
            unhandled += NAMES * (len(missing) - gone)
        return lost, unhandled
