"""What plain Faust lacks for "nothing lost": safe commit, hold, safe seek, and the gap.

Each part answers a measured loss of faust-streaming 0.15.3 (docs/architecture.md, "Offsets last");
each has a test in tests/chaos/test_delivery.py that fails when the part is taken out. The parts reach
into Faust's internals, so its version is pinned.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog
from faust.transport.drivers import aiokafka as driver

from app.errors import DeliveryFailed, StateFailed
from app.model.receipt import Origin

log = structlog.get_logger()

DELIVERY_TIMEOUT_S = 60.0
HOLD_TIMEOUT_S = 5.0
EXIT_CODE = 70
"""Of a worker that stopped because Kafka did not take a record (EX_SOFTWARE)."""


class Delivery:
    """Sends that Kafka has not acknowledged yet: forwards, receipts, and changelog writes."""

    def __init__(self, on_failure: Callable[[BaseException, Origin | None], None]) -> None:
        self._pending: set[asyncio.Future[Any]] = set()
        self._on_failure = on_failure
        self.error: BaseException | None = None

    def track(self, sent: "asyncio.Future[Any]", cause: Origin | None = None) -> None:
        """Count a send until it is acknowledged; a failed one is never forgotten.

        `cause` is the record that was being handled.
        """
        self._pending.add(sent)
        sent.add_done_callback(lambda done: self._done(done, cause))

    def _done(self, sent: "asyncio.Future[Any]", cause: Origin | None) -> None:
        self._pending.discard(sent)
        error = asyncio.CancelledError() if sent.cancelled() else sent.exception()
        if error is not None:
            self.fail(error, cause)

    def fail(self, error: BaseException, cause: Origin | None = None) -> None:
        """Remember the first failure: from here on nothing is committed."""
        if self.error is None:
            self.error = error
            self._on_failure(error, cause)

    async def settle(self) -> None:
        """Wait for the sends begun so far and for the table writes they cause.

        Raises DeliveryFailed when one of them, or any before, was not acknowledged.
        """
        for _ in ("forwards", "table writes that waited for them"):
            begun = tuple(self._pending)
            if begun:
                _, late = await asyncio.wait(begun, timeout=DELIVERY_TIMEOUT_S)
                if late:
                    self.fail(TimeoutError(f"{len(late)} sends unacknowledged for {DELIVERY_TIMEOUT_S:g} s"))
        if self.error is not None:
            raise DeliveryFailed(f"refusing to commit: {self.error!r}") from self.error


def stop_worker(error: BaseException) -> None:
    """End the process at once, as a crash would: nothing more is sent or committed.

    An orderly stop would send what is still queued behind the failed record, and its consumers would
    take the failed one, sent again, for a repeat.
    """
    log.critical("delivery failed, worker stops", error=repr(error), exit_code=EXIT_CODE)
    os._exit(EXIT_CODE)


class SafeConsumer(driver.Consumer):
    """Faust's consumer, with commits behind deliveries, stopped seeks, and gaps of the right length."""

    app: Any

    async def _commit(self, offsets: Mapping[Any, int]) -> bool:
        """Safe commit: stock Faust commits past sends in flight, and past failed ones."""
        try:
            await self.app.delivery.settle()
        except DeliveryFailed as error:
            await self.crash(error)
            return False
        return bool(await super()._commit(offsets))

    async def perform_seek(self) -> None:
        """Safe seek: what is delivered while stock Faust seeks is dropped, and committed as a gap."""
        self.stop_flow()
        await super().perform_seek()

    async def seek_to_committed(self) -> Mapping[Any, int]:
        """Safe seek of what has no commit yet, to the beginning.

        aiokafka 0.14.0 leaves such a partition behind what was read and dropped
        (tests/e2e/test_faust_command.py).
        """
        committed: Mapping[Any, int] = await super().seek_to_committed()
        fresh = [tp for tp, offset in committed.items() if not offset and not self._is_changelog_tp(tp)]
        if fresh:
            await self._thread.seek_to_beginning(*fresh)
        return committed

    async def _add_gap(self, tp: Any, offset_from: int, offset_to: int) -> None:
        """Gap: stock Faust also acks `offset_to`, the record that has just arrived."""
        await super()._add_gap(tp, offset_from, offset_to - 1)

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """Hold: let acknowledgements come in, and commit, before the partitions are somebody else's."""
        self.stop_flow()
        await self.commit()
        await super().on_partitions_revoked(revoked)
        for state in self.app.states:
            await state.release(revoked)


class SafeProducer(driver.Producer):
    """Faust's producer: idempotent, and every changelog write is counted from the moment it is queued."""

    app: Any

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    def send_soon(self, fut: Any) -> None:
        self.app.delivery.track(fut)
        super().send_soon(fut)


class SafeTransport(driver.Transport):
    """Faust's transport with both."""

    Consumer = SafeConsumer
    Producer = SafeProducer


class HeldState:
    """A Faust table of bytes that is written only after Kafka has acknowledged what the write answers for.

    Else the changelog may overtake the forward, and after a crash the signal counts as seen and is
    gone. Until then an overlay answers for the key.
    """

    def __init__(self, table: Any, delivery: Delivery, timeout_s: float = HOLD_TIMEOUT_S) -> None:
        self.table = table
        self.timeout_s = timeout_s
        self._delivery = delivery
        self._overlay: dict[tuple[int, bytes], tuple[bytes | None, asyncio.Future[Any]]] = {}

    def get(self, event: Any, key: bytes) -> bytes | None:
        """The value as of the records handled so far. Raises StateFailed."""
        held = self._overlay.get((event.message.partition, key))
        if held is not None:
            return held[0]
        try:
            found: bytes | None = self.table.get(key)
        except Exception as error:
            raise StateFailed(f"table {self.table.name} can't be read: {error!r}") from error
        return found

    def put(
        self, event: Any, key: bytes, value: bytes | None, after: "asyncio.Future[Any] | None" = None
    ) -> None:
        """Write (None: delete) once `after` is acknowledged, never before earlier writes of the key."""
        slot = (event.message.partition, key)
        if after is None:
            held = self._overlay.get(slot)
            if held is None:
                self._write(key, value)
                return
            after = held[1]
        entry = self._overlay[slot] = (value, after)
        # The closure keeps `event`: Faust's current_event() is a weak reference.
        after.add_done_callback(lambda sent: self._acknowledged(event, key, entry, sent))

    def _acknowledged(
        self,
        event: Any,
        key: bytes,
        entry: "tuple[bytes | None, asyncio.Future[Any]]",
        sent: "asyncio.Future[Any]",
    ) -> None:
        """Write, unless a later write waits for the key, or the partition has gone with its overlay."""
        slot = (event.message.partition, key)
        if sent.cancelled() or sent.exception() is not None or self._overlay.get(slot) is not entry:
            return
        del self._overlay[slot]
        try:
            self._write(key, entry[0])
        except StateFailed as error:
            self._delivery.fail(error)

    def _write(self, key: bytes, value: bytes | None) -> None:
        try:
            if value is None:
                self.table.pop(key, None)
            else:
                self.table[key] = value
        except Exception as error:
            raise StateFailed(f"table {self.table.name} can't be written: {error!r}") from error

    async def release(self, revoked: Iterable[Any]) -> None:
        """The partitions go: wait for what is held (bounded), then discard it."""
        partitions = {tp.partition for tp in revoked}
        waiting = {sent for (partition, _), (_, sent) in self._overlay.items() if partition in partitions}
        if waiting:
            await asyncio.wait(waiting, timeout=self.timeout_s)
        for slot in [slot for slot in self._overlay if slot[0] in partitions]:
            del self._overlay[slot]
