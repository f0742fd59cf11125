"""Where a recomputation's batches go, and how far it is: the group of recomputations of a chain."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

from app.config import Settings
from app.errors import DeliveryFailed, Transient
from app.kafka_client import client_options
from app.model.keys import batch_key, partition_of
from app.model.signal import ENCODER, SignalBatch
from app.pipeline.chain import in_parts
from app.query.kafka import Reader
from app.replay.asked import no_topic
from app.replay.blocks import Found
from app.replay.job import Job, Mark, Place, join_group
from app.streaming.record import make_headers
from app.streaming.topics import SIGNAL_BYTES


class Outlet:
    """Sends to `signals.raw`; a mark is behind all that was sent before it."""

    def __init__(
        self, settings: Settings, producer: AIOKafkaProducer, job: Job, home: TopicPartition
    ) -> None:
        self._settings = settings
        self._producer = producer
        self._job = job
        self._home = home
        self._sent: list[asyncio.Future[Any]] = []
        self.resumed = False
        self.next = 0
        """Heights below are done."""

    async def begin(self, name: str, heights: range) -> None:
        """Where the last one of the same stopped, or at the lowest height."""
        place = self._job.places.get(self._home)
        self.resumed = place is not None and place.mark.job == name and not place.done
        if place is not None and self.resumed:
            self.next = place.position
        else:
            place = Place(0, Mark(name, heights.start, heights.stop, at=heights.start))
            await self._job.commit({self._home: place})
            self.next = heights.start

    def has(self, block: Found) -> bool:
        """Whether the block was done before it stopped. Isolated ones come behind the chain, in no order."""
        return block.height < self.next and not block.isolated

    async def send(self, batch: SignalBatch) -> None:
        """Raises DeliveryFailed."""
        key = batch_key(batch.provider, batch.symbol, batch.ts)
        partition = partition_of(key, self._settings.signal_partitions)
        topic, headers = self._settings.topic("signals.raw"), make_headers(batch.correlation_id)
        for part in in_parts(batch):
            value = ENCODER.encode(part)
            self._sent.append(
                await self._producer.send(topic, value, key=key, partition=partition, headers=headers)
            )

    async def mark(self, height: int) -> None:
        """All below is sent: remember it once Kafka has it. Raises DeliveryFailed, Fenced, Transient."""
        sent, self._sent = self._sent, []
        try:
            await asyncio.gather(*sent)
        except KafkaError as error:
            raise DeliveryFailed(
                f"Kafka did not take a batch for signals.raw: {error!r}; the same command goes on"
            ) from error
        mark = self._job.places[self._home].mark
        await self._job.commit({self._home: Place(0, Mark(mark.job, mark.first, mark.end, at=height))})

    async def finish(self) -> None:
        """Nothing is left."""
        await self.mark(self._job.places[self._home].mark.end)


@asynccontextmanager
async def open_outlet(settings: Settings, reader: Reader, group: str) -> AsyncIterator[Outlet]:
    """As the only recomputation of the group. Raises ConfigurationError, Transient."""
    topic = settings.topic("blocks")
    partitions = await reader.partitions(topic)
    if not partitions:  # a group of a topic that is not there never forms
        raise no_topic(topic)
    producer = AIOKafkaProducer(
        **client_options(settings),
        client_id="sigstream-replay",
        acks="all",
        enable_idempotence=True,
        linger_ms=5,
        compression_type="zstd",
        max_request_size=SIGNAL_BYTES,
    )
    async with join_group(settings, reader, group, topic, partitions) as job:
        try:
            await producer.start()
            yield Outlet(settings, producer, job, partitions[0])
        except KafkaConnectionError as error:
            raise Transient(f"Kafka at {settings.kafka} does not answer: {error}") from error
        finally:
            await producer.stop()
