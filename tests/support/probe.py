"""A look into Kafka from outside of the workers."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import GroupCoordinatorNotAvailableError

from app.config import Settings
from app.streaming.record import ORIGIN_OFFSET, Record, of_aiokafka
from app.streaming.topics import ensure_topics, pipeline_topics

DEADLINE_S = 60.0


async def until(
    condition: Callable[[], Awaitable[Any]],
    what: str,
    deadline_s: float = DEADLINE_S,
    log: Callable[[], str] | None = None,
) -> Any:
    """What the condition returns once it is true; AssertionError with the last answer after the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        found = await condition()
        if found:
            return found
        if time.monotonic() > end:
            tail = f"\nlog:\n{log()}" if log else ""
            raise AssertionError(f"not within {deadline_s:g} s: {what}; last answer {found!r}{tail}")
        await asyncio.sleep(0.05)


class Probe:
    """Producer, reader and admin of one pipeline's topics."""

    def __init__(self, settings: Settings, consumer: Any, producer: Any, admin: Any) -> None:
        self.settings = settings
        self._consumer = consumer
        self.producer = producer
        self._admin = admin

    def partitions(self, topic: str) -> list[TopicPartition]:
        """All of a topic, by short name."""
        full = self.settings.topic(topic)
        count = {t.name: t.partitions for t in pipeline_topics(self.settings)}[full]
        return [TopicPartition(full, number) for number in range(count)]

    async def send(
        self,
        topic: str,
        records: Iterable[tuple[bytes | None, bytes | None, int | None, list[tuple[str, bytes]]]],
    ) -> None:
        """Key, value, partition, headers of each; all acknowledged on return."""
        full = self.settings.topic(topic)
        sent = [
            await self.producer.send(full, value, key=key, partition=partition, headers=headers)
            for key, value, partition, headers in records
        ]
        await asyncio.gather(*sent)

    async def count(self, topic: str) -> int:
        """Records ever written."""
        ends = await self._consumer.end_offsets(self.partitions(topic))
        return sum(ends.values())

    async def read(self, topic: str) -> list[Record]:
        """All records, by partition, in order; the topic by its short name."""
        return await self._read(self.partitions(topic))

    async def read_topic(self, name: str, partitions: int) -> list[Record]:
        """The same by full name."""
        return await self._read([TopicPartition(name, number) for number in range(partitions)])

    async def _read(self, partitions: list[TopicPartition]) -> list[Record]:
        self._consumer.assign(partitions)
        ends = await self._consumer.end_offsets(partitions)
        for tp, beginning in (await self._consumer.beginning_offsets(partitions)).items():
            self._consumer.seek(tp, beginning)
        found: list[Record] = []
        while any([await self._consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await self._consumer.getmany(timeout_ms=500)).values():
                found.extend(of_aiokafka(record) for record in records)
        return sorted(found, key=lambda record: (record.partition, record.offset))

    async def lag(self, stage: str, topic: str) -> int:
        """Records of the topic that the stage's group has not committed."""
        ends = await self._consumer.end_offsets(self.partitions(topic))
        done = await self.committed(stage, topic)
        return sum(end - done[tp.partition] for tp, end in ends.items())

    async def committed(self, stage: str, topic: str) -> dict[int, int]:
        """Offset that the stage's group has committed, by partition; 0 where it has not."""
        partitions = self.partitions(topic)
        try:
            done = await self._admin.list_consumer_group_offsets(
                self.settings.group(stage), partitions=partitions
            )
        except GroupCoordinatorNotAvailableError:  # no group was ever there
            done = {}
        return {tp.partition: max(0, done[tp].offset if tp in done else 0) for tp in partitions}

    async def shares(self, stage: str, topic: str) -> dict[str, set[int]]:
        """Partitions of a topic by member of the stage's group; empty while the group is not stable."""
        described = await self._admin.describe_consumer_groups([self.settings.group(stage)])
        _, _, state, _, _, members, *_ = described[0].groups[0]
        if state != "Stable":
            return {}
        full = self.settings.topic(topic)
        decoded = {m[0]: ConsumerProtocolMemberAssignment.decode(m[-1]).partitions() for m in members}
        return {
            member: {tp.partition for tp in owned if tp.topic == full} for member, owned in decoded.items()
        }


def without_repeats(records: list[Record]) -> list[Record]:
    """What a consumer of `signals` takes: only origins above the last one of the partition."""
    last: dict[int, int] = {}
    taken = []
    for record in records:
        origin = record.header_int(ORIGIN_OFFSET)
        assert origin is not None
        if origin > last.get(record.partition, -1):
            last[record.partition] = origin
            taken.append(record)
    return taken


@asynccontextmanager
async def probe(settings: Settings) -> AsyncIterator[Probe]:
    """With the pipeline's topics made."""
    await ensure_topics(settings, pipeline_topics(settings))
    servers = settings.need_kafka()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=33_000_000,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=servers, acks="all", linger_ms=5, max_request_size=41_000_000
    )
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await consumer.start()
    await producer.start()
    await admin.start()
    try:
        yield Probe(settings, consumer, producer, admin)
    finally:
        await producer.stop()
        await consumer.stop()
        await admin.close()


class Tape:
    """What was appended to some topics since the tape began; read once, and remembered."""

    def __init__(self, settings: Settings, consumer: Any) -> None:
        self._settings = settings
        self._consumer = consumer
        self._records: list[Record] = []

    async def of(self, topic: str) -> list[Record]:
        """Records of a topic up to now, by partition, in order; the topic by its short name."""
        await self._catch_up()
        full = self._settings.topic(topic)
        found = [record for record in self._records if record.topic == full]
        return sorted(found, key=lambda record: (record.partition, record.offset))

    async def _catch_up(self) -> None:
        ends = await self._consumer.end_offsets(list(self._consumer.assignment()))
        while any([await self._consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await self._consumer.getmany(timeout_ms=500)).values():
                self._records.extend(of_aiokafka(record) for record in records)


@asynccontextmanager
async def tape(settings: Settings, *topics: str) -> AsyncIterator[Tape]:
    """Of these topics, by short names, from now on."""
    partitions = {t.name: t.partitions for t in pipeline_topics(settings)}
    names = [settings.topic(topic) for topic in topics]
    assigned = [TopicPartition(name, number) for name in names for number in range(partitions[name])]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.need_kafka(),
        enable_auto_commit=False,
        max_partition_fetch_bytes=33_000_000,
    )
    await consumer.start()
    try:
        consumer.assign(assigned)
        for tp, end in (await consumer.end_offsets(assigned)).items():
            consumer.seek(tp, end)
        yield Tape(settings, consumer)
    finally:
        await consumer.stop()
