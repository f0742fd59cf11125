"""The loop around every sink: read, batch, write, answer, flush, commit."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener

from app.config import Settings
from app.errors import Fenced, Transient
from app.kafka_client import client_options
from app.observe import metrics
from app.sinks.base import Sink, SinkRecord, Written
from app.sinks.batch import Batch, Entry
from app.sinks.incoming import read_forwarded
from app.sinks.offsets import Beside, Owned, commit, read_committed
from app.sinks.receipts import ENCODER, receipt_for, rejection
from app.streaming.dead_letters import dead_letter, explain
from app.streaming.garbage import keep_what_is_there
from app.streaming.record import ORIGIN_OFFSET, Record, make_headers, of_aiokafka
from app.streaming.sizes import check_sizes
from app.streaming.slot import Slot
from app.streaming.topics import DEAD_LETTER_BYTES, FETCH_BYTES, SIGNAL_BYTES, ensure_topics, pipeline_topics

log = structlog.get_logger()

CLOSE_WAIT_S = 10.0
MOST_RECORDS = 100
"""Read at once; what they hold is decoded, before anybody looks whether a write is full."""
LOOK_S = 1.0
"""Longest single wait for records: after it, limits that have changed count."""
MOST_FENCED = 5
"""Tries after which a worker that keeps being fenced stops: by then a rebalance would have come."""
REVOKE_WAIT_S = 3.0
"""How long a rebalance waits for a write that is under way."""


def pauses(cap_s: float) -> Iterator[float]:
    """Seconds between tries at a server that is down: 1, 2, 4 ... up to the cap, without end."""
    pause = 1.0
    while True:
        yield min(pause, cap_s)
        pause = min(pause * 2, cap_s)


class SinkWorker(ConsumerRebalanceListener):  # type: ignore[misc]
    """One consumer group member in front of one sink.

    Offsets are committed last: a crash anywhere before repeats the write, which the sink takes for
    what it is. While the server is away the partitions wait, paused, and stay this worker's.
    """

    def __init__(self, sink: Sink, config: Settings, slot: Slot) -> None:
        self._sink = sink
        self._config = config
        self._slot = slot
        self._group = config.group(f"sink.{sink.name}")
        self._batch = Batch(config)
        self._owned: dict[TopicPartition, Owned] = {}
        self._epoch = 0
        self._writing = asyncio.Lock()
        self._stop = asyncio.Event()
        self._buried: list[asyncio.Future[Any]] = []

    def stop(self) -> None:
        """Write what is read, commit, and end."""
        self._stop.set()

    def use(self, config: Settings) -> None:
        """Settings have changed that may change in a running worker."""
        self._config = config
        self._batch.limit(config)
        self._sink.use(config)

    async def run(self) -> None:
        """Until `stop`. Raises Terminal when the sink can't go on; nothing is committed past it."""
        await ensure_topics(self._config, pipeline_topics(self._config))
        await self._open()
        self._consumer, self._producer = self._clients()
        await self._producer.start()
        self._consumer.subscribe([self._config.topic("signals")], listener=self)
        await self._consumer.start()
        metrics.serve(self._config)
        keep_what_is_there()
        log.info("sink ready", sink=self._sink.name, group=self._group)
        try:
            while not self._stop.is_set():
                if not self._batch.full:
                    await self._poll(min(self._batch.wait_s, LOOK_S))
                if self._batch.wait_s == 0:
                    await self._flush()
            await self._flush()
        finally:
            await self._close()

    async def _close(self) -> None:
        """aiokafka 0.14's consumer may wait for ever when it is stopped just after a rebalance."""
        try:
            async with asyncio.timeout(CLOSE_WAIT_S):
                await self._consumer.stop()
        except TimeoutError:
            log.warning("consumer not stopped in time", sink=self._sink.name)
        await self._producer.stop()
        await self._sink.close()

    def _clients(self) -> tuple[AIOKafkaConsumer, AIOKafkaProducer]:
        options = client_options(self._config)
        consumer = AIOKafkaConsumer(
            **options,
            group_id=self._group,
            group_instance_id=self._slot.instance_id,
            client_id=self._slot.instance_id,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=8000,
            heartbeat_interval_ms=2000,
            max_partition_fetch_bytes=FETCH_BYTES,
        )
        producer = AIOKafkaProducer(
            **options,
            client_id=self._slot.instance_id,
            enable_idempotence=True,
            acks="all",
            linger_ms=5,
            compression_type="zstd",
            max_request_size=DEAD_LETTER_BYTES,
        )
        return consumer, producer

    async def _open(self) -> None:
        for pause in pauses(self._config.sink_retry_cap_s):
            try:
                await self._sink.open()
                return
            except Transient as error:
                log.warning("sink not ready", sink=self._sink.name, reason=str(error), next_try_s=pause)
                await asyncio.sleep(pause)
                if self._stop.is_set():
                    return

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Give a write under way a moment to be committed, then forget the partitions."""
        try:
            async with asyncio.timeout(REVOKE_WAIT_S):
                async with self._writing:
                    pass
        except TimeoutError:
            log.warning("write abandoned", partitions=[tp.partition for tp in revoked])
        self._epoch += 1
        for tp in revoked:
            self._owned.pop(tp, None)
        self._batch.drop({tp.partition for tp in revoked})
        await self._sink.release([tp.partition for tp in revoked])

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Start at what is committed; whatever was fetched before that is fetched again."""
        owned = await self._committed(list(assigned))
        for tp, mine in owned.items():
            self._consumer.seek(tp, mine.offset)
        self._owned = owned
        self._epoch += 1
        log.info("partitions assigned", partitions=sorted(tp.partition for tp in assigned))

    async def _committed(self, partitions: list[TopicPartition]) -> dict[TopicPartition, Owned]:
        """aiokafka logs what a listener raises and goes on, so this one tries until Kafka answers."""
        options = client_options(self._config)
        for pause in pauses(self._config.sink_retry_cap_s):
            try:
                return await read_committed(options, self._group, self._consumer, partitions)
            except Transient as error:
                log.warning("offsets unknown", sink=self._sink.name, reason=str(error), next_try_s=pause)
                await asyncio.sleep(pause)
        raise AssertionError("pauses have no end")

    async def _poll(self, wait_s: float) -> None:
        """Read for up to `wait_s`, a few records: what a backlog has is fetched when there is room for it.

        A call that crosses a rebalance may return records of before or after it: they are dropped,
        and read again from where the new assignment starts.
        """
        epoch = self._epoch
        found = await self._consumer.getmany(timeout_ms=int(wait_s * 1000), max_records=MOST_RECORDS)
        for tp, records in found.items():
            mine = self._owned.get(tp)
            if mine is None:
                continue
            if epoch != self._epoch:
                self._consumer.seek(tp, mine.next_offset)
                continue
            for record in records:
                entry = await self._read(of_aiokafka(record), mine)
                if epoch != self._epoch:
                    return
                self._batch.add(entry)
                mine.next_offset = record.offset + 1

    async def _read(self, record: Record, mine: Owned) -> Entry:
        origin = record.header_int(ORIGIN_OFFSET)
        if origin is not None:
            if mine.seen_origin is not None and origin <= mine.seen_origin:
                log.debug("repeat dropped", partition=record.partition, offset=record.offset, origin=origin)
                return Entry(record, origin, None, mine)
            mine.seen_origin = origin
        try:
            check_sizes(record, SIGNAL_BYTES)
            batch = read_forwarded(record.value)
        except Exception as error:  # whatever it is, the records behind it are not to wait
            await self._bury(record, error)
            return Entry(record, origin, None, mine)
        content = SinkRecord(record.partition, record.offset, batch, len(record.value or b""))
        return Entry(record, origin, content, mine)

    async def _bury(self, record: Record, error: BaseException) -> None:
        log.error("dead letter", sink=self._sink.name, offset=record.offset, partition=record.partition,
                  correlation_id=record.correlation_id, reason=explain(error))  # fmt: skip
        key, value, headers = dead_letter(record, f"sink.{self._sink.name}", error)
        self._buried.append(await self._send("dead-letters", value, key, None, headers))

    async def _send(
        self, topic: str, value: bytes | None, key: bytes | None, partition: int | None, headers: Any
    ) -> "asyncio.Future[Any]":
        sent: asyncio.Future[Any] = await self._producer.send(
            self._config.topic(topic), value, key=key, partition=partition, headers=headers
        )
        return sent

    async def _flush(self) -> None:
        """Write, answer, flush, commit."""
        received_at = datetime.now(UTC)
        entries = self._batch.take()
        if not entries:
            return
        async with self._writing:
            entries, written = await self._write(entries)
            if entries:
                await self._answer(entries, written, received_at)
                await self._commit(entries)

    async def _write(self, entries: list[Entry]) -> tuple[list[Entry], list[list[Written]]]:
        """Try until the sink has taken all that is still this worker's."""
        fenced = 0
        for pause in pauses(self._config.sink_retry_cap_s):
            entries = [entry for entry in entries if self._is_mine(entry)]
            contents = [entry.content for entry in entries if entry.content is not None]
            try:
                await self._acquire({content.partition for content in contents})
                if not all(map(self._is_mine, entries)):
                    continue  # a rebalance came meanwhile
                return entries, await self._sink.write(contents) if contents else []
            except Transient as error:
                log.warning("sink waits", sink=self._sink.name, reason=str(error), next_try_s=pause)
            except Fenced as error:
                fenced += 1
                if fenced == MOST_FENCED:
                    raise
                self._acquire_again()
                log.warning("fenced", sink=self._sink.name, reason=str(error), next_try_s=pause)
            if not await self._wait(pause):
                # What is read behind an abandoned write must not be written and committed past it.
                self._batch = Batch(self._config)
                return [], []
        raise AssertionError("pauses have no end")

    def _is_mine(self, entry: Entry) -> bool:
        """What was read before a rebalance is read again, be it from another Kafka at the same address."""
        tp = TopicPartition(entry.record.topic, entry.record.partition)
        return self._owned.get(tp) is entry.owned

    async def _acquire(self, partitions: set[int]) -> None:
        topic = self._config.topic("signals")
        for partition in sorted(partitions):
            mine = self._owned.get(TopicPartition(topic, partition))
            if mine is None:
                raise Fenced(f"partition {partition} was revoked")
            if not mine.acquired:
                save = self._saver(partition, mine)
                await self._sink.acquire(partition, mine.offset, mine.beside.state, save)
                mine.acquired = True

    def _acquire_again(self) -> None:
        """A rebalance is on its way: what is still ours after it starts anew at the sink."""
        for mine in self._owned.values():
            mine.acquired = False

    def _saver(self, partition: int, mine: Owned) -> Any:
        tp = TopicPartition(self._config.topic("signals"), partition)

        async def save(state: str) -> None:
            if self._owned.get(tp) is not mine:
                raise Fenced(f"partition {partition} was revoked")
            mine.beside = Beside(mine.beside.origin, state)
            await commit(self._consumer, {tp: mine})

        return save

    async def _wait(self, pause_s: float) -> bool:
        """Let time pass while the consumer stays in its group; False: stop instead.

        A rebalance resets the pause of partitions, so what comes all the same is kept in order.
        """
        end = asyncio.get_running_loop().time() + pause_s
        while (left := end - asyncio.get_running_loop().time()) > 0:
            if self._stop.is_set():
                return False
            self._consumer.pause(*self._consumer.assignment())
            await self._poll(min(left, 0.5))
        await self._reopen()
        self._consumer.resume(*self._consumer.assignment())
        return True

    async def _reopen(self) -> None:
        try:
            await self._sink.open()
        except Transient as error:
            log.debug("sink still away", sink=self._sink.name, reason=str(error))

    async def _answer(
        self, entries: list[Entry], written: list[list[Written]], received_at: datetime
    ) -> None:
        """Receipts to the partition of the record they answer; acknowledged on return."""
        sent = []
        answers = iter(written)
        for entry in entries:
            if entry.content is None:
                continue
            answer = next(answers)
            if not self._is_mine(entry):
                continue  # whoever has the partition now reads, finds and answers it
            receipt = receipt_for(self._sink.name, entry, answer, received_at)
            record = entry.record
            sent.append(
                await self._send(
                    "signals.persisted",
                    ENCODER.encode(receipt),
                    record.key,
                    record.partition,
                    make_headers(receipt.correlation_id),
                )
            )
            refused = rejection(self._sink.name, receipt)
            if refused is not None:
                await self._bury(record, refused)
        buried, self._buried = self._buried, []
        await asyncio.gather(*sent, *buried)

    async def _commit(self, entries: list[Entry]) -> None:
        """Offsets last, with the origin of the last record taken beside them."""
        done: dict[TopicPartition, Owned] = {}
        for entry in filter(self._is_mine, entries):
            tp, mine = TopicPartition(entry.record.topic, entry.record.partition), entry.owned
            mine.offset = entry.record.offset + 1
            origin = max((o for o in (entry.origin, mine.beside.origin) if o is not None), default=None)
            mine.beside = Beside(origin, mine.beside.state)
            done[tp] = mine
        try:
            await commit(self._consumer, done)
        except Fenced as error:
            log.warning("commit refused", sink=self._sink.name, reason=str(error))
        log.debug("written", sink=self._sink.name, records=len(entries))
