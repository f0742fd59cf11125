"""Reading Kafka beside the workers: no group, no commit, nothing changed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    KafkaConnectionError,
    KafkaError,
    NotCoordinatorForGroupError,
    for_code,
)

from app.config import Settings
from app.errors import Transient
from app.kafka_client import client_options
from app.kafka_diagnosis import connecting
from app.streaming.record import Record, of_aiokafka

READ_TIMEOUT_S = 15.0
"""A partition that has records and gives none for so long is not readable now."""
PASSING = (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError)
"""A broker that has just started answers so."""


@asynccontextmanager
async def open_reader(settings: Settings) -> AsyncIterator["Reader"]:
    """A reader. Raises Transient when Kafka does not answer, here or within the context."""
    address = {**client_options(settings), "client_id": "sigstream-query"}
    admin = AIOKafkaAdminClient(**address)
    try:
        async with connecting(settings):
            await admin.start()
        async with _consumer(address) as consumer:
            yield Reader(address, admin, consumer)
    except KafkaError as error:
        raise _transient(settings, error) from error
    finally:
        await admin.close()


@asynccontextmanager
async def _consumer(address: dict[str, Any]) -> AsyncIterator[AIOKafkaConsumer]:
    # Where retention has taken what was to be read, what is left of it is.
    consumer = AIOKafkaConsumer(**address, enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


def _transient(settings: Settings, error: KafkaError) -> Transient:
    if isinstance(error, KafkaConnectionError):
        return Transient(
            f"Kafka at {settings.kafka} does not answer: check SIGSTREAM_KAFKA, or start `sigstream up`"
        )
    return Transient(f"Kafka at {settings.kafka} failed: {error!r}; see the broker's log and try again")


class Reader:
    """Records, offsets and groups."""

    def __init__(
        self, address: dict[str, Any], admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer
    ) -> None:
        self._address = address
        self._admin = admin
        self._consumer = consumer

    async def topics(self) -> list[str]:
        """Names of all topics."""
        return list(await self._admin.list_topics())

    async def partitions(self, topic: str) -> list[TopicPartition]:
        """Partitions of a topic, none when it does not exist."""
        described = (await self._admin.describe_topics([topic]))[0]
        return sorted(TopicPartition(topic, found["partition"]) for found in described["partitions"])

    async def group(self, name: str) -> tuple[str, int]:
        """State in Kafka's words ("Dead": never seen) and number of members.

        One group a request: aiokafka 0.14.0 reads version 3 of the answer as version 2, and from the
        second group on finds nonsense (tests/integration/cli/test_cli_status.py).
        """
        described = await _patiently(lambda: self._described(name))
        return described[2], len(described[5])

    async def _described(self, name: str) -> Any:
        """Raises what the answer says: a broker whose first group this is has no coordinator for a moment."""
        described = (await self._admin.describe_consumer_groups([name]))[0].groups[0]
        if described[0]:
            raise for_code(described[0])(name)
        return described

    async def committed(self, group: str) -> dict[TopicPartition, int]:
        """Offsets that the group has committed."""
        found = await _patiently(lambda: self._admin.list_consumer_group_offsets(group))
        return {tp: committed.offset for tp, committed in found.items()}

    async def bounds(self, partitions: list[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """First offset and the one behind the last, a partition."""
        if not partitions:
            return {}
        begin = await self._consumer.beginning_offsets(partitions)
        end = await self._consumer.end_offsets(partitions)
        return {tp: (begin[tp], end[tp]) for tp in partitions}

    async def offset_at(self, tp: TopicPartition, timestamp_ms: int) -> int | None:
        """Offset of the first record appended at or after a time; None: there is none."""
        found = (await self._consumer.offsets_for_times({tp: max(0, timestamp_ms)}))[tp]
        return None if found is None else int(found.offset)

    async def read(self, tp: TopicPartition, start: int, end: int) -> AsyncIterator[Record]:
        """Records from `start` up to, and without, `end`. Raises Transient when they don't come.

        A consumer a read: one of aiokafka 0.14.0 that is stopped soon after its assignment changed may
        wait forever, as its fetcher takes the cancellation for that of an old request.
        """
        if start >= end:
            return
        async with _consumer(self._address) as consumer:
            consumer.assign([tp])
            consumer.seek(tp, start)
            async for record in _read_up_to(consumer, tp, end):
                yield record


async def _read_up_to(consumer: Any, tp: TopicPartition, end: int) -> AsyncIterator[Record]:
    clock = asyncio.get_running_loop().time
    heard = clock()
    while await consumer.position(tp) < end:
        records = (await consumer.getmany(tp, timeout_ms=500)).get(tp, ())
        for record in records:
            if record.offset >= end:
                return
            yield of_aiokafka(record)
        if records:
            heard = clock()
        elif clock() - heard > READ_TIMEOUT_S:
            raise Transient(f"{tp.topic}/{tp.partition} gave no record for {READ_TIMEOUT_S:g} s: try again")


async def _patiently(call: Callable[[], Awaitable[Any]]) -> Any:
    """The call's result; no coordinator yet is waited out."""
    deadline = asyncio.get_running_loop().time() + READ_TIMEOUT_S
    while True:
        try:
            return await call()
        except KafkaError as error:
            if not isinstance(error, PASSING) or asyncio.get_running_loop().time() > deadline:
                raise
        await asyncio.sleep(0.2)
