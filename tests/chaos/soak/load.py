"""A steady load: a chain that reorganises itself, and foreign producers with all their habits."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
from aiokafka.errors import KafkaError

from app.model.keys import batch_key, partition_of
from app.sources.scenario import Scenario
from app.sources.simulated.block import Place
from tests.support.blocks import message
from tests.support.probe import Probe
from tests.support.signals import Message, ts_of

TICK_S = 0.1
RECORDS_A_TICK = 1
TICKS_A_BLOCK = 10
PROVIDER = "soak"
FIRST_VERSION = 1_000_000


def scenario(seed: int) -> Scenario:
    """More small blocks than a run takes; every 30th or so leaves the chain."""
    return Scenario(seed=seed, blocks=4000, reorgs=130, max_depth=4, transactions=(2, 6))


class Load:
    """Runs until cancelled; `paused` holds it between two records."""

    def __init__(self, probe: Probe, seed: int) -> None:
        self._probe = probe
        self._rng = Random(f"{seed}|load")
        self._scenario = scenario(seed)
        self._blocks: list[Place] = []
        self._going = asyncio.Event()
        self._going.set()
        self._idle = asyncio.Event()
        self._numbers = 0
        self._versions = FIRST_VERSION
        self._habits: list[tuple[Callable[[], list[Message]], int]] = [
            (self._new, 50),
            (self._again, 15),
            (self._newer, 12),
            (self._older, 6),
            (self._retraction, 5),
            (self._flat, 5),
            (self._astray, 5),
            (self._refused, 2),
        ]
        """And how often, of 100."""

    async def run(self) -> None:
        """Some records every tenth of a second, and a block a second."""
        self._blocks = self._scenario.perfect_order()[::-1]
        ticks = 0
        while True:
            if not self._going.is_set():
                self._idle.set()
                await self._going.wait()
                self._idle.clear()
            await self._send("signals.raw", self._records(RECORDS_A_TICK))
            ticks += 1
            if ticks % TICKS_A_BLOCK == 0 and self._blocks:
                await self.blocks(1)
            await asyncio.sleep(TICK_S)

    async def pause(self) -> None:
        """Returns once nothing is being sent."""
        self._going.clear()
        await self._idle.wait()

    def resume(self) -> None:
        """Go on."""
        self._going.set()

    async def burst(self, records: int = 120, blocks: int = 6) -> None:
        """Work for a fault to fall into."""
        await self._send("signals.raw", self._records(records))
        await self.blocks(blocks)

    async def blocks(self, count: int) -> None:
        """The next blocks of the chain."""
        places = [self._blocks.pop() for _ in range(min(count, len(self._blocks)))]
        places += [self._rng.choice(places)] if places and self._rng.random() < 0.2 else []
        await self._send("blocks", [message(self._scenario.make(place)) for place in places])

    async def _send(self, topic: str, records: list[Message]) -> None:
        """As any producer: until the broker has all of them, some maybe twice."""
        while True:
            try:
                await self._probe.send(topic, records)
                return
            except KafkaError:
                await asyncio.sleep(0.5)

    def _records(self, count: int) -> list[Message]:
        habits, weights = zip(*self._habits, strict=True)
        chosen = self._rng.choices(habits, weights, k=count)
        return [record for habit in chosen for record in habit()]

    def _new(self) -> list[Message]:
        self._numbers += 1
        return [self._batch(self._numbers, self._rng.choice([None, self._version()]))]

    def _again(self) -> list[Message]:
        number = self._earlier()
        return [self._batch(number, None, value=1.0)] * 2

    def _newer(self) -> list[Message]:
        return [self._batch(self._earlier(), self._version(), value=self._rng.random())]

    def _older(self) -> list[Message]:
        return [self._batch(self._earlier(), self._rng.randrange(1, FIRST_VERSION), self._rng.random())]

    def _retraction(self) -> list[Message]:
        return [self._batch(self._earlier(), self._version(), retracted_at="2026-01-01T00:00:00Z")]

    def _flat(self) -> list[Message]:
        self._numbers += 1
        flat = {"provider": PROVIDER, "symbol": "FLAT", "ts": ts_of(self._numbers), "name": "n", "value": 1.0}
        return [(b"any key", msgspec.json.encode(flat), self._rng.randrange(self._partitions), [])]

    def _astray(self) -> list[Message]:
        self._numbers += 1
        key, value, partition, headers = self._batch(self._numbers, self._version())
        return [(key, value, ((partition or 0) + 1) % self._partitions, headers)]

    def _refused(self) -> list[Message]:
        self._numbers += 1
        bad: list[dict[str, Any]] = [{"name": "nothing", "value": None}, {"name": "x" * 300, "value": 1.0}]
        return [self._message(self._numbers, [{"name": "n0", "value": 1.0}, *bad])]

    def _earlier(self) -> int:
        return self._rng.randrange(max(1, self._numbers - 500), self._numbers + 2)

    def _version(self) -> int:
        self._versions += 1
        return self._versions

    @property
    def _partitions(self) -> int:
        return self._probe.settings.signal_partitions

    def _batch(
        self, number: int, version: int | None, value: float = 1.0, retracted_at: str | None = None
    ) -> Message:
        extra: dict[str, Any] = {} if version is None else {"version": version}
        if retracted_at:
            extra["retracted_at"] = retracted_at
        signals = [{"name": f"n{i}", "value": value + i + number / 1000, **extra} for i in range(3)]
        return self._message(number, signals)

    def _message(self, number: int, signals: list[dict[str, Any]]) -> Message:
        ts = ts_of(number)
        key = batch_key(PROVIDER, "TEST", ts)
        value = {"provider": PROVIDER, "symbol": "TEST", "ts": ts, "signals": signals}
        return key, msgspec.json.encode(value), partition_of(key, self._partitions), []
