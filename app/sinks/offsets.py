"""What a sink's consumer group remembers of a partition: the offset, and what is saved beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalGenerationError, KafkaError, UnknownMemberIdError
from aiokafka.structs import OffsetAndMetadata

from app.errors import Fenced, Transient
from app.streaming.offsets import committed_offsets

log = structlog.get_logger()


class Beside(msgspec.Struct, omit_defaults=True):
    """Commit metadata: survives the worker, and is exactly as old as the offset."""

    origin: int | None = None
    """Origin of the last record taken: what is not above it is a repeat."""
    state: str | None = None
    """The sink's own, see Sink.acquire."""


_DECODER = msgspec.json.Decoder(Beside)


@dataclass(slots=True)
class Owned:
    """A partition of `signals` that is this worker's."""

    offset: int
    """Of the next record to write."""
    beside: Beside = field(default_factory=Beside)
    seen_origin: int | None = None
    """Origin of the last record read."""
    next_offset: int = 0
    """Of the next record to read."""
    acquired: bool = False


async def read_committed(
    options: Mapping[str, Any],
    group: str,
    consumer: AIOKafkaConsumer,
    partitions: Sequence[TopicPartition],
) -> dict[TopicPartition, Owned]:
    """Where the group stands. Without a commit: at the beginning. Raises Transient."""
    found = await committed_offsets(options, group, partitions)
    try:
        beginning = await consumer.beginning_offsets(list(partitions))
    except KafkaError as error:
        raise Transient(f"Kafka does not tell where its topics begin: {error!r}") from error
    return {tp: _owned(tp, found[tp], beginning[tp]) for tp in partitions}


def _owned(tp: TopicPartition, found: OffsetAndMetadata, beginning: int) -> Owned:
    if found.offset < 0:
        return Owned(beginning, next_offset=beginning)
    beside = _read(found.metadata)
    if found.offset < beginning:
        log.error("records expired unread", partition=tp.partition, committed=found.offset, first=beginning)
        return Owned(beginning, beside, beside.origin, beginning)
    return Owned(found.offset, beside, beside.origin, found.offset)


def _read(metadata: str | None) -> Beside:
    """Metadata of others (an operator's reset leaves none) is no metadata."""
    try:
        return _DECODER.decode(metadata or b"{}")
    except msgspec.DecodeError:
        return Beside()


async def commit(consumer: AIOKafkaConsumer, owned: dict[TopicPartition, Owned]) -> None:
    """Commit where each partition stands. Raises Fenced when the group has gone on without us, Transient."""
    offsets: dict[TopicPartition, Any] = {
        tp: (mine.offset, msgspec.json.encode(mine.beside).decode()) for tp, mine in owned.items()
    }
    if not offsets:
        return
    try:
        await consumer.commit(offsets)
    except (CommitFailedError, IllegalGenerationError, UnknownMemberIdError) as error:
        raise Fenced(f"the group's partitions have moved on: {error!r}") from error
    except KafkaError as error:
        raise Transient(f"Kafka did not take the commit: {error!r}") from error
