"""Topics of a bench: filled beforehand, counted while a contender runs, read for their times afterwards.

By confluent-kafka, whose C code leaves the contenders most of the two cores.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from app.config import Settings
from app.streaming.topics import SIGNAL_BYTES, Topic, ensure_topics, pipeline_topics

Headers = list[tuple[str, bytes]]
LEADERS_S = 30.0
"""A topic that was just made has leaders, and they know it, within this time."""
QUIET = {"log_level": 0}
"""librdkafka reports on stderr what it tries again; what matters is raised."""


class Message(NamedTuple):
    """A record to send."""

    key: bytes
    value: bytes
    partition: int
    headers: Headers


class Appended(NamedTuple):
    """A record as the broker has it; `at_ms`: its LogAppendTime."""

    at_ms: int
    value: bytes
    headers: dict[str, bytes]


class Broker:
    """The bench's own access to Kafka at `bootstrap`."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._admin = AdminClient({"bootstrap.servers": bootstrap, **QUIET})
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "bench",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                **QUIET,
            }
        )

    def make_pipeline(self, settings: Settings) -> None:
        """The product's topics, and wait for them."""
        self._make(settings, pipeline_topics(settings))

    def make_topics(self, settings: Settings, *topics: Topic) -> None:
        """Topics beside the product's own, as they say."""
        self._make(settings, topics)

    def make(self, settings: Settings, *names: str) -> None:
        """Topics beside the product's own, with the same settings (LogAppendTime)."""
        self._make(settings, [Topic(name, settings.signal_partitions, 1, SIGNAL_BYTES) for name in names])

    def _make(self, settings: Settings, topics: Sequence[Topic]) -> None:
        asyncio.run(ensure_topics(settings, topics))
        for topic in topics:
            self._await_leaders(topic)

    def _await_leaders(self, topic: Topic) -> None:
        """A topic can be used a moment after it was made."""
        end = time.monotonic() + LEADERS_S
        while True:
            found = self._consumer.list_topics(topic.name, timeout=10).topics[topic.name].partitions
            if len(found) == topic.partitions and all(one.leader >= 0 for one in found.values()):
                return
            if time.monotonic() > end:
                raise TimeoutError(f"topic {topic.name} has no leaders after {LEADERS_S:g} s")
            time.sleep(0.05)

    def fill(self, topic: str, messages: Iterable[Message]) -> None:
        """Send all, in order a partition; acknowledged on return."""
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "compression.type": "zstd",
                "enable.idempotence": True,
                "queue.buffering.max.messages": 1_000_000,
                "message.max.bytes": SIGNAL_BYTES,
                **QUIET,
            }
        )
        for message in messages:
            producer.produce(
                topic,
                message.value,
                message.key,
                message.partition,
                headers=message.headers,
                on_delivery=_expect_delivered,
            )
            producer.poll(0)
        if producer.flush(60):
            raise RuntimeError(f"topic {topic} could not be filled within 60 s")

    def count(self, topic: str) -> int:
        """Records in the topic."""
        return sum(map(self._records_in, self._partitions(topic)))

    def _records_in(self, partition: TopicPartition) -> int:
        end = time.monotonic() + LEADERS_S
        while True:
            try:
                low, high = self._consumer.get_watermark_offsets(partition, timeout=10)
                return int(high - low)
            except KafkaException as error:  # a new partition's leader says so for a moment
                if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION or time.monotonic() > end:
                    raise
            time.sleep(0.05)

    def await_count(
        self, topic: str, records: int, alive: Callable[[], None], within_s: float, every_s: float = 0.2
    ) -> None:
        """Until the topic has so many; `alive` raises when its writer has ended. Raises TimeoutError."""
        end = time.monotonic() + within_s
        while (found := self.count(topic)) < records:
            alive()
            if time.monotonic() > end:
                raise TimeoutError(f"{topic} has {found:,} of {records:,} records after {within_s:g} s")
            time.sleep(every_s)

    def read(self, topic: str) -> Iterator[Appended]:
        """All records, a partition in order."""
        left = self.count(topic)
        self._consumer.assign([TopicPartition(topic, tp.partition, 0) for tp in self._partitions(topic)])
        while left:
            for found in self._consumer.consume(1000, timeout=5):
                if found.error():
                    raise RuntimeError(f"{topic} can't be read: {found.error()}")
                left -= 1
                yield Appended(found.timestamp()[1], found.value(), dict(found.headers() or ()))
        self._consumer.unassign()

    def remove(self, prefix: str) -> None:
        """Delete the topics whose name starts so: later rounds find the broker as the first one did."""
        names = [name for name in self._admin.list_topics(timeout=10).topics if name.startswith(prefix)]
        for done in self._admin.delete_topics(names).values() if names else ():
            done.result(30)

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()

    def _partitions(self, topic: str) -> Sequence[TopicPartition]:
        found = self._consumer.list_topics(topic, timeout=10).topics[topic].partitions
        return [TopicPartition(topic, number) for number in sorted(found)]


def _expect_delivered(error: Any, _message: Any) -> None:
    if error is not None:
        raise RuntimeError(f"Kafka did not take a record: {error}")
