"""Whether a worker is still a member of its group: what it sends otherwise comes from a zombie.

A process that stood still (suspended, swapped out, its machine paused) for longer than the session timeout
wakes up in the middle of its work, and another worker has long recovered its tables. Neither Kafka nor
Faust keeps it from writing what it still holds to topics and changelogs: stale entries over newer ones,
which the next recovery reads (tests/chaos/test_zombie_agents.py).
"""

import asyncio
import signal
import time
from collections.abc import Callable
from typing import Any

from aiokafka.protocol.produce import ProduceRequest

from app.errors import Fenced

LOOK_EVERY_S = 0.02
HELD_S = 60.0
"""How long records wait for a heartbeat."""


def now() -> float:
    """Seconds that no change of the date moves, and that go on while the machine is suspended.

    `time.monotonic` stands still then, on Linux; where there is no other clock, it is used.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Membership:
    """When Kafka last confirmed it; written by the consumer's thread, read by the producer's."""

    def __init__(self, session_s: float, on_loss: Callable[[BaseException], None]) -> None:
        self._session_s = session_s
        self._on_loss = on_loss
        self._confirmed_at: float | None = None
        self._closing: Callable[[], bool] = lambda: False
        """Whether the consumer ends: no heartbeat will come any more."""

    @property
    def certain(self) -> bool:
        """Whether the group can't have gone on without us: a heartbeat has come through lately enough."""
        at = self._confirmed_at
        return at is None or now() - at < self._session_s

    def end_when_resumed(self) -> None:
        """Have SIGCONT end a process that stood still for too long, before it does anything else.

        What its event loop was about to hand to the kernel passes no guard any more.
        """

        def resumed(*_: object) -> None:
            if not self.certain:
                self._on_loss(Fenced("stood still for longer than the group waits"))

        if hasattr(signal, "SIGCONT"):
            signal.signal(signal.SIGCONT, resumed)

    def watch(self, coordinator: Any) -> None:
        """Learn from an aiokafka 0.14.0 group coordinator, whose heartbeats tell nobody else."""
        joined, beat = coordinator._on_join_complete, coordinator._do_heartbeat
        reset = coordinator.reset_generation

        async def watched_join(*answer: Any) -> None:
            self._confirmed_at = now()
            await joined(*answer)

        async def watched_beat() -> bool:
            begun = now()
            alive = bool(await beat())
            if alive:
                self._confirmed_at = begun
            return alive

        def watched_reset() -> None:
            given_up = self._closing() or coordinator._performed_join_prepare
            if coordinator.generation > 0 and not given_up:
                self._on_loss(Fenced(f"group {coordinator.group_id} has gone on without this worker"))
            reset()

        self._closing = lambda: coordinator._closing.done()
        coordinator._on_join_complete, coordinator._do_heartbeat = watched_join, watched_beat
        coordinator.reset_generation = watched_reset

    def guard(self, client: Any) -> None:
        """Keep an aiokafka client's records back while it is not certain who owns the partitions."""
        send = client.send

        async def guarded(node_id: Any, request: Any, **options: Any) -> Any:
            if isinstance(request, ProduceRequest):
                await self._confirmed()
            return await send(node_id, request, **options)

        client.send = guarded

    async def _confirmed(self) -> None:
        """Wait for a heartbeat, but not for ever: a flush waits for what is held back here."""
        end = time.monotonic() + HELD_S
        while not self.certain:
            if self._closing() or time.monotonic() > end:
                error = Fenced("no heartbeat came through: what was held back is left to another worker")
                self._on_loss(error)
                raise error
            await asyncio.sleep(LOOK_EVERY_S)
