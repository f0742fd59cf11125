"""The producer behind `sigstream dlq`: one record at a time, acknowledged by all replicas."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from app.config import Settings
from app.dlq.marks import ENCODER, TOPIC, Mark, State
from app.errors import ContractError, DeliveryFailed
from app.kafka_client import client_options
from app.kafka_diagnosis import connecting
from app.model.receipt import Origin
from app.query.dead_letters import Letter
from app.streaming.record import Headers, make_headers
from app.streaming.topics import ensure_topics, pipeline_topics

NO_LIMIT_BYTES = 1 << 30
"""aiokafka checks before it compresses; what Kafka has taken once may be larger than any topic's limit."""


class Sender:
    """Sends replayed records, and marks."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer) -> None:
        self._settings = settings
        self._producer = producer

    async def send(self, to: Origin, key: bytes | None, value: bytes | None, headers: Headers) -> Origin:
        """To the partition that a letter came from; where it is now.

        Raises ContractError when this record is too large, DeliveryFailed when Kafka takes none.
        """
        try:
            sent = await self._producer.send_and_wait(to.topic, value, key, to.partition, headers=headers)
        except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
            raise ContractError(f"is too large for {to.topic}: raise its max.message.bytes") from error
        except KafkaError as error:
            raise DeliveryFailed(
                f"Kafka did not take a record for {to.topic}: {error!r}; try again"
            ) from error
        return Origin(to.topic, sent.partition, sent.offset)

    async def mark(self, letter: Letter, state: State, attempts: int) -> None:
        """Remember what was done about a letter. Raises DeliveryFailed."""
        try:
            await self._mark(letter, Mark(state, datetime.now(UTC), attempts))
        except KafkaError as error:
            raise DeliveryFailed(
                f"letter {letter.place} was {state}, but Kafka did not take the mark ({error!r}): it is "
                "still shown as open"
            ) from error

    async def _mark(self, letter: Letter, mark: Mark) -> Any:
        headers = make_headers(letter.text("correlation-id") or None)
        key = str(letter.place).encode()
        topic = self._settings.topic(TOPIC)
        return await self._producer.send_and_wait(topic, ENCODER.encode(mark), key, headers=headers)


@asynccontextmanager
async def open_sender(settings: Settings) -> AsyncIterator[Sender]:
    """A sender; topics that are missing are made. Raises Transient without a broker."""
    await ensure_topics(settings, pipeline_topics(settings))
    producer = AIOKafkaProducer(
        **client_options(settings),
        client_id="sigstream-dlq",
        acks="all",
        enable_idempotence=True,
        compression_type="zstd",
        max_request_size=NO_LIMIT_BYTES,
    )
    try:
        async with connecting(settings):
            await producer.start()
            yield Sender(settings, producer)
    finally:
        await producer.stop()
