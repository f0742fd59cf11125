"""A replay's consumer group: only one replay of a kind at a time, and where it stopped."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalGenerationError, KafkaError, UnknownMemberIdError

from app.config import Settings
from app.errors import ConfigurationError, Fenced, Transient
from app.kafka_client import client_options
from app.query.kafka import Reader
from app.streaming.offsets import committed_offsets

SESSION_MS = 15_000
JOIN_WAIT_S = 30.0
CLOSE_WAIT_S = 10.0
MOST_SILENT_MS = 3_600_000
"""Longest time between two marks: a topic may be read meanwhile."""
COORDINATOR_WAIT_S = 10.0


class Mark(msgspec.Struct, omit_defaults=True):
    """Beside a partition's committed offset: whose it is, and how far that one goes."""

    job: str
    """What was asked for, and of what; a replay of the same continues there."""
    first: int
    end: int
    state: str | None = None
    """The sink's own, see Sink.acquire."""
    at: int | None = None
    """The next height, of a replay that counts heights; `first` and `end` are heights then, too."""


class Place(msgspec.Struct):
    """Where a partition stands."""

    offset: int
    mark: Mark

    @property
    def done(self) -> bool:
        """Nothing is left of it."""
        return self.position >= self.mark.end

    @property
    def position(self) -> int:
        """In the unit of the mark."""
        return self.offset if self.mark.at is None else self.mark.at


_DECODER = msgspec.json.Decoder(Mark)


async def read_places(
    settings: Settings, group: str, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, Place]:
    """Where the last replay of the group stands; only partitions that it has marked. Raises Transient."""
    found = await _committed(settings, group, partitions)
    places = {}
    for tp, committed in found.items():
        try:
            places[tp] = Place(committed.offset, _DECODER.decode(committed.metadata or b""))
        except msgspec.DecodeError:
            continue
    return places


async def _committed(
    settings: Settings, group: str, partitions: Sequence[TopicPartition]
) -> Mapping[Any, Any]:
    deadline = asyncio.get_running_loop().time() + COORDINATOR_WAIT_S
    while True:
        try:
            return await committed_offsets(client_options(settings), group, partitions)
        except Transient:  # a group that nobody knows yet has no coordinator for a moment
            if asyncio.get_running_loop().time() > deadline:
                raise
        await asyncio.sleep(0.2)


class Job(ConsumerRebalanceListener):  # type: ignore[misc]
    """The group's only member, as long as it lives; it reads nothing."""

    def __init__(self, group: str, consumer: AIOKafkaConsumer) -> None:
        self.group = group
        self.places: dict[TopicPartition, Place] = {}
        self._consumer = consumer
        self._joined = False
        self._lost = False

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Somebody else has joined, or the session has ended."""
        self._lost = self._lost or self._joined

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Nothing to do: `join` looks."""

    async def join(self, topic: str, partitions: Sequence[TopicPartition]) -> None:
        """Be the group's member for all partitions. Raises ConfigurationError when another one is, too."""
        self._consumer.subscribe([topic], listener=self)
        deadline = asyncio.get_running_loop().time() + JOIN_WAIT_S
        while not self._consumer.assignment():
            if asyncio.get_running_loop().time() > deadline:
                raise Transient(f"group {self.group} does not form within {JOIN_WAIT_S:g} s: try again")
            await self._consumer.getmany(timeout_ms=100)
        if set(self._consumer.assignment()) != set(partitions):
            raise _busy(self.group)
        self._joined = True
        self._consumer.pause(*partitions)

    async def alive(self) -> None:
        """Tell Kafka that it goes on. Raises Fenced when another replay has joined."""
        await self._consumer.getmany(timeout_ms=0)
        if self._lost:
            raise _fenced(self.group)

    async def commit(self, places: Mapping[TopicPartition, Place]) -> None:
        """Remember where these partitions stand. Raises Fenced, Transient."""
        await self.alive()
        self.places.update(places)
        offsets: dict[TopicPartition, Any] = {
            tp: (place.offset, msgspec.json.encode(place.mark).decode()) for tp, place in places.items()
        }
        try:
            await self._consumer.commit(offsets)
        except (CommitFailedError, IllegalGenerationError, UnknownMemberIdError) as error:
            raise _fenced(self.group) from error
        except KafkaError as error:
            raise Transient(f"Kafka did not take a commit of {self.group}: {error!r}") from error


def _fenced(group: str) -> Fenced:
    return Fenced(
        f"this replay is not the only member of group {group} any more: another one has joined, or Kafka "
        f"has not heard of it for {SESSION_MS // 1000} s; the same command goes on"
    )


def _busy(group: str) -> ConfigurationError:
    return ConfigurationError(
        f"another replay is running (group {group}): wait until it has ended, or stop it; one that was "
        f"killed counts for {SESSION_MS // 1000} s more"
    )


@asynccontextmanager
async def join_group(
    settings: Settings, reader: Reader, group: str, topic: str, partitions: Sequence[TopicPartition]
) -> AsyncIterator[Job]:
    """As the only member. Raises ConfigurationError when there is one already, Transient without Kafka."""
    if (await reader.group(group))[1]:
        raise _busy(group)
    consumer = AIOKafkaConsumer(
        **client_options(settings),
        group_id=group,
        client_id="sigstream-replay",
        enable_auto_commit=False,
        session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=2000,
        max_poll_interval_ms=MOST_SILENT_MS,
    )
    await consumer.start()
    job = Job(group, consumer)
    try:
        await job.join(topic, partitions)
        job.places = await read_places(settings, group, partitions)
        yield job
    finally:
        with suppress(TimeoutError):  # aiokafka 0.14 may wait for ever soon after a rebalance
            async with asyncio.timeout(CLOSE_WAIT_S):
                await consumer.stop()
