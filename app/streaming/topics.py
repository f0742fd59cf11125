"""Topics: names, partitions and settings, made by the product, never by the broker."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from app.config import Settings
from app.errors import ConfigurationError, Terminal, Transient
from app.kafka_client import client_options
from app.kafka_diagnosis import connecting

log = structlog.get_logger()

LEADER_WAIT_S = 15.0
DAY_MS = 86_400_000
BLOCK_BYTES = 32_000_000
DEAD_LETTER_BYTES = 40_000_000
CHANGELOG_BYTES = 8_000_000
SIGNAL_BYTES = 8_000_000
FETCH_BYTES = 1_000_000
"""Compressed, of a partition at once: that much is held of each while its records wait. A larger record comes
all the same, by itself."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of the pipeline; `days` None: compacted."""

    name: str
    partitions: int
    days: int | None
    max_bytes: int

    def config(self) -> dict[str, str]:
        """Its settings on the broker."""
        kept = (
            {"cleanup.policy": "compact"}
            if self.days is None
            else {"cleanup.policy": "delete", "retention.ms": str(self.days * DAY_MS)}
        )
        return {
            **kept,
            "max.message.bytes": str(self.max_bytes),
            "message.timestamp.type": "LogAppendTime",
            "compression.type": "producer",
        }


def pipeline_topics(settings: Settings) -> tuple[Topic, ...]:
    """All topics of a namespace, full names."""
    n, blocks = settings.signal_partitions, settings.block_partitions
    return tuple(
        Topic(settings.topic(name), partitions, days, size)
        for name, partitions, days, size in (
            ("blocks", blocks, 7, BLOCK_BYTES),
            ("block-features", 1, 30, BLOCK_BYTES),
            ("block-requests", 1, 1, SIGNAL_BYTES),
            ("mempool", 1, 2, SIGNAL_BYTES),
            ("signals.raw", n, 7, SIGNAL_BYTES),
            ("signals", n, 30, SIGNAL_BYTES),
            ("signals.persisted", n, 30, SIGNAL_BYTES),
            ("signals.settled", n, 30, SIGNAL_BYTES),
            ("dead-letters", 4, 30, DEAD_LETTER_BYTES),
            ("dead-letters.handled", 1, None, SIGNAL_BYTES),
        )
    )


def changelog(settings: Settings, stage: str, table: str, partitions: int) -> Topic:
    """Changelog of a Faust table, by Faust's naming."""
    return Topic(f"{settings.group(stage)}-{table}-changelog", partitions, None, CHANGELOG_BYTES)


async def ensure_topics(settings: Settings, topics: Sequence[Topic]) -> None:
    """Create what is missing. Raises Transient without a broker, ConfigurationError when it refuses us, or
    a topic has another number of partitions than the settings say."""
    admin = AIOKafkaAdminClient(**client_options(settings), client_id="sigstream-topics")
    try:
        async with connecting(settings):
            await admin.start()
        existing = {d["topic"]: d for d in await admin.describe_topics([t.name for t in topics])}
        missing = [t for t in topics if existing.get(t.name, {}).get("error_code", 3) != 0]
        await _create(admin, missing, settings.replication_factor)
        await _have_leaders(admin, missing)
        for topic in topics:
            _check_partitions(topic, existing.get(topic.name))
    finally:
        await admin.close()


async def _create(admin: AIOKafkaAdminClient, topics: Sequence[Topic], replication: int) -> None:
    if not topics:
        return
    response = await admin.create_topics(
        [NewTopic(t.name, t.partitions, replication, topic_configs=t.config()) for t in topics]
    )
    for name, code, *detail in response.topic_errors:
        if code not in (0, TopicAlreadyExistsError.errno):
            raise Terminal(f"Kafka refused to create topic {name}: {for_code(code).__name__} {detail}")
        log.info("topic created", topic=name, existed=code != 0)


async def _have_leaders(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> None:
    """Until every partition of new topics has a leader: Faust ignores a topic that it can't see yet."""
    names = [topic.name for topic in topics]
    end = time.monotonic() + LEADER_WAIT_S
    while names and time.monotonic() < end:
        found = await admin.describe_topics(names)
        if all(t["error_code"] == 0 and all(p["leader"] >= 0 for p in t["partitions"]) for t in found):
            return
        await asyncio.sleep(0.05)
    if names:
        raise Transient(
            f"topics {', '.join(names)} have no leaders after {LEADER_WAIT_S:g} s: look at the broker's log"
        )


def _check_partitions(topic: Topic, found: dict[str, object] | None) -> None:
    if not found or found.get("error_code") != 0:
        return
    partitions = found["partitions"]
    assert isinstance(partitions, list)
    if len(partitions) != topic.partitions:
        raise ConfigurationError(
            f"topic {topic.name} has {len(partitions)} partitions, the settings say {topic.partitions}: "
            "set SIGSTREAM_SIGNAL_PARTITIONS / SIGSTREAM_BLOCK_PARTITIONS to what it has, "
            "or use another SIGSTREAM_NAMESPACE"
        )
