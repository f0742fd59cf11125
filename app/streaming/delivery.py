"""What plain Faust lacks for "nothing lost": safe commit, hold, safe seek, and the gap.

Each part answers a measured loss of faust-streaming 0.15.3 (docs/architecture.md, "Offsets last");
each has a test in tests/chaos/test_delivery.py that fails when the part is taken out. The parts reach
into Faust's internals, so its version is pinned.
"""

import asyncio
import os
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import Context, copy_context
from typing import Any, NamedTuple

import structlog
from faust.transport.drivers import aiokafka as driver
from mode import Service

from app.errors import DeliveryFailed, StateFailed, Transient
from app.kafka_client import client_options
from app.model.receipt import Origin
from app.streaming.epoch import is_still
from app.streaming.offsets import committed_offsets
from app.streaming.record import HANDLING

log = structlog.get_logger()

DELIVERY_TIMEOUT_S = 60.0
HOLD_TIMEOUT_S = 5.0
RECOGNISE_S = 2.0
"""How long an assignment waits for Kafka to say which one it is; a fraction of the session."""
EXIT_CODE = 70
"""Of a worker that stopped because Kafka did not take a record (EX_SOFTWARE)."""


class Delivery:
    """Sends that Kafka has not acknowledged yet: forwards, receipts, and changelog writes."""

    def __init__(self, on_failure: Callable[[BaseException, Origin | None], None]) -> None:
        self._pending: set[asyncio.Future[Any]] = set()
        self._on_failure = on_failure
        self.error: BaseException | None = None
        self.closed = False
        """A record was left half done: nothing more may be committed, and nothing is wrong."""

    def close(self) -> None:
        """The worker ends in the middle of a record."""
        self.closed = True

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


class SafeConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's, with an eye on the membership of its group."""

    app: Any

    async def on_start(self) -> None:
        await super().on_start()
        self.app.membership.watch(self._ensure_consumer()._coordinator)


class SafeConsumer(driver.Consumer):
    """Faust's consumer, with commits behind deliveries, stopped seeks, and gaps of the right length."""

    app: Any
    _recognising: "asyncio.Future[Any] | None" = None

    def _new_consumer_thread(self) -> Any:
        return SafeConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _commit(self, offsets: Mapping[Any, int]) -> bool:
        """Safe commit: stock Faust commits past sends in flight, and past failed ones."""
        if self.app.delivery.closed:
            return False
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
        if not fresh:
            return committed
        if not await self._are_fresh(fresh):
            return await self.seek_to_committed()
        await self._thread.seek_to_beginning(*fresh)
        return committed

    async def _are_fresh(self, partitions: list[Any]) -> bool:
        """Asked again: aiokafka takes a coordinator that is still loading for a group without commits."""
        conf = self.app.conf
        try:
            found = await committed_offsets(client_options(self.app.settings), conf.id, partitions)
        except Transient as error:
            log.warning("offsets unknown", reason=str(error))
            await asyncio.sleep(0.5)
            return False
        return all(there.offset <= 0 for there in found.values())

    @Service.task
    async def _watch_group(self) -> None:
        """Faust never asks aiokafka whether its group membership broke down, and would idle for ever."""
        async for _ in self.itertimer(2.0, name="watch-group"):
            consumer = self._thread._consumer
            coordinator = getattr(consumer, "_coordinator", None)
            task = getattr(coordinator, "_coordination_task", None)
            broken = task.exception() if task is not None and task.done() and not task.cancelled() else None
            error = broken or getattr(coordinator, "_pending_exception", None)
            if error is not None and not self.should_stop:
                self.app.delivery.fail(error)

    async def _wait_next_records(self, timeout: float) -> Any:
        """Bounded backlog: nothing more is fetched while what is there fills the memory meant for it.

        But for a changelog's: Faust writes it to the table 1,000 records at a time.
        """
        app = self.app
        await app.backlog.room(lambda: self.flow_active and not (self.should_stop or app.in_recovery))
        return await super()._wait_next_records(timeout)

    def _to_message(self, tp: Any, record: Any) -> Any:
        message = super()._to_message(tp, record)
        if not self._is_changelog_tp(tp):  # those of other workers' tables wait for each other
            self.app.backlog.add(message)
        return message

    async def _add_gap(self, tp: Any, offset_from: int, offset_to: int) -> None:
        """Gap: stock Faust also acks `offset_to`, the record that has just arrived."""
        await super()._add_gap(tp, offset_from, offset_to - 1)

    async def on_partitions_assigned(self, assigned: set[Any], generation_id: int = 0) -> None:
        """A Kafka that was rebuilt meanwhile: what is in memory and on disk is the old one's.

        Nothing of it can have been committed: a new cluster refuses members that it never had.
        """
        if assigned:
            await self._recognise()
        await super().on_partitions_assigned(assigned, generation_id)

    async def _recognise(self) -> None:
        """Ask Kafka which one it is, and go on without its answer before the group gives the worker up.

        aiokafka 0.14.0 sends no heartbeats meanwhile.
        """
        if self._recognising is not None:
            self._recognising.cancel()
        self._recognising = self.add_future(self._end_when_rebuilt())
        _, late = await asyncio.wait({self._recognising}, timeout=RECOGNISE_S)
        if late:
            log.warning("partitions taken before Kafka was recognised", waited_s=RECOGNISE_S)

    async def _end_when_rebuilt(self) -> None:
        if not await is_still(self.app.settings, self.app.epoch):
            self.app.delivery.fail(StateFailed("Kafka was rebuilt while this worker ran: start it again"))

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """Hold: let acknowledgements come in, and commit, before the partitions are somebody else's.

        Stock Faust stops what is queued, and leaves what is being handled: its writes would come when
        the changelog is somebody else's, too.
        """
        self.stop_flow()
        await self.commit()
        await super().on_partitions_revoked(revoked)
        await self.app.handled(HOLD_TIMEOUT_S)
        for state in self.app.states:
            await state.release(revoked)


class SafeProducer(driver.Producer):
    """Faust's producer: idempotent, and every changelog write is counted from the moment it is queued."""

    app: Any

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    async def on_start(self) -> None:
        await super().on_start()
        self.app.membership.guard(self._ensure_producer().client)

    def send_soon(self, fut: Any) -> None:
        cause = HANDLING.get()
        self.app.delivery.track(fut, cause.origin if cause else None)
        super().send_soon(fut)


class SafeTransport(driver.Transport):
    """Faust's transport with both."""

    Consumer = SafeConsumer
    Producer = SafeProducer


class Held(NamedTuple):
    """A write that waits for the acknowledgement of what it answers for."""

    key: bytes
    value: bytes | None
    after: "asyncio.Future[Any] | None"
    event: Any
    """Faust's, kept alive: its current_event() is a weak reference."""
    context: Context
    """Of the record that was handled."""

    @property
    def ready(self) -> bool:
        """Whether it is acknowledged; never, when Kafka did not take it."""
        sent = self.after
        return sent is None or (sent.done() and not sent.cancelled() and sent.exception() is None)


class HeldState:
    """A Faust table of bytes that is written only after Kafka has acknowledged what the write answers for.

    Else the changelog may overtake the forward, and after a crash the signal counts as seen and is
    gone. And the local database is written only after the changelog, where Faust writes it first: else a
    crash leaves it ahead of what another worker would recover. Until then an overlay answers for a key.
    A partition's writes keep the order of their puts, whatever their keys: a crash leaves the first so
    many of them.
    """

    def __init__(self, table: Any, delivery: Delivery, timeout_s: float = HOLD_TIMEOUT_S) -> None:
        self.table = table
        self.timeout_s = timeout_s
        self._delivery = delivery
        self._overlay: dict[tuple[int, bytes], Held] = {}
        self._queues: defaultdict[int, deque[Held]] = defaultdict(deque)
        self._epochs: Counter[int] = Counter()

    def get(self, event: Any, key: bytes) -> bytes | None:
        """The value as of the records handled so far. Raises StateFailed."""
        held = self._overlay.get((event.message.partition, key))
        if held is not None:
            return held.value
        try:
            found: bytes | None = self.table.data.get(key)
        except Exception as error:
            raise StateFailed(f"table {self.table.name} can't be read: {error!r}") from error
        return found

    def put(
        self, event: Any, key: bytes, value: bytes | None, after: "asyncio.Future[Any] | None" = None
    ) -> None:
        """Write (None: delete) once `after` is acknowledged, and behind the partition's earlier writes."""
        partition = event.message.partition
        epoch = self._epochs[partition]
        held = self._overlay[partition, key] = Held(key, value, after, event, copy_context())
        self._queues[partition].append(held)
        self._write_ready(epoch, partition)
        if after is not None and not after.done():
            after.add_done_callback(lambda _: self._write_ready(epoch, partition))

    def _write_ready(self, epoch: int, partition: int) -> None:
        """What is acknowledged, in the order of the puts; acknowledgements come in another."""
        if epoch != self._epochs[partition]:
            return
        queue = self._queues[partition]
        while queue and queue[0].ready:
            self._write(epoch, partition, queue.popleft())

    def _write(self, epoch: int, partition: int, held: Held) -> None:
        """To the changelog, unless something was not acknowledged."""
        if self._delivery.error is not None:
            return
        held.context.run(
            self.table.changelog_topic.send_soon,
            key=held.key,
            value=held.value,
            partition=partition,
            key_serializer="raw",
            value_serializer="raw",
            callback=lambda sent: held.context.run(self._store, epoch, partition, held, sent.result()),
            eager_partitioning=True,
        )

    def _store(self, epoch: int, partition: int, held: Held, written: Any) -> None:
        """Into the local database, in the changelog's order, and only then how far it is."""
        if epoch != self._epochs[partition]:
            return
        data = self.table.data
        try:
            if held.value is None:
                data.pop(held.key, None)
            else:
                data[held.key] = held.value
            data.set_persisted_offset(written.topic_partition, written.offset)
        except Exception as error:
            self._delivery.fail(StateFailed(f"table {self.table.name} can't be written: {error!r}"))
        if self._overlay.get((partition, held.key)) is held:
            del self._overlay[partition, held.key]

    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """All that has been written under keys that begin so; what is held is not among it: see `settled`."""
        store = self.table.data
        if not hasattr(store, "_dbs"):
            yield from (item for item in self.table.items() if item[0].startswith(prefix))
            return
        for database in store._dbs.values():  # RocksDB has its keys in order
            for key, value in database.items(from_key=prefix):
                if not key.startswith(prefix):
                    break
                if key != store.offset_key:
                    yield key, value

    async def settled(self) -> None:
        """Wait until nothing is held any more. Raises StateFailed when Kafka does not take it in time."""
        end = time.monotonic() + DELIVERY_TIMEOUT_S
        while self._overlay:
            if time.monotonic() > end:
                raise StateFailed(f"table {self.table.name}: {len(self._overlay)} writes still held")
            await asyncio.sleep(0.01)

    async def release(self, revoked: Iterable[Any]) -> None:
        """The partitions go: wait for what is held (bounded), then discard it."""
        partitions = {tp.partition for tp in revoked}
        end = time.monotonic() + self.timeout_s
        while any(slot[0] in partitions for slot in self._overlay) and time.monotonic() < end:
            await asyncio.sleep(0.01)
        self._epochs.update(partitions)
        for slot in [slot for slot in self._overlay if slot[0] in partitions]:
            del self._overlay[slot]
        for partition in partitions:
            self._queues.pop(partition, None)
