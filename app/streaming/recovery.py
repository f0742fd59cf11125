"""Tables out of their changelogs, in bulk.

Faust 0.15.3 takes a changelog record by record, at a task and a timer each. The bulk of it is read here by a
consumer of our own, thousands at a time, before Faust recovers what is left.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.types import TP

from app.kafka_client import client_options
from app.streaming.topics import FETCH_BYTES

log = structlog.get_logger()

MOST_RECORDS = 2_000
"""Written to a table at once."""
WAIT_MS = 1_000
WORTH_IT = 100
"""Records from which another consumer is worth its connections."""


@dataclass(frozen=True, slots=True)
class Change:
    """A record of a changelog, as stores read a Faust event."""

    tp: TP
    offset: int
    partition: int
    key: bytes
    value: bytes | None

    @property
    def message(self) -> "Change":
        """What an event has its record in."""
        return self


class BulkRecovery(Recovery):
    """Faust's, which finds most of its work done."""

    async def _build_offsets(self, consumer: Any, tps: Any, destination: Any, title: str) -> None:
        """Where to read on; Faust cancels this when a rebalance comes, or after its request timeout."""
        await super()._build_offsets(consumer, tps, destination, title)
        ends = {tp: self.active_highwaters[tp] or -1 for tp in tps} if title == "active" else {}
        left = {tp: end for tp, end in ends.items() if end > destination[tp]}
        if sum(end - destination[tp] for tp, end in left.items()) >= WORTH_IT:
            await self._fill(left, destination)

    async def _fill(self, ends: dict[TP, int], offsets: Any) -> None:
        """Until each partition's `offsets`, of the last record that is in the table, are its end."""
        app: Any = self.app
        async with AIOKafkaConsumer(
            **client_options(app.settings),
            enable_auto_commit=False,
            max_partition_fetch_bytes=FETCH_BYTES,
        ) as reader:
            reader.assign([TopicPartition(tp.topic, tp.partition) for tp in ends])
            for tp in ends:
                reader.seek(TopicPartition(tp.topic, tp.partition), offsets[tp] + 1)
            begun = sum(offsets[tp] for tp in ends)
            while any(offsets[tp] < end for tp, end in ends.items()):
                found = await reader.getmany(timeout_ms=WAIT_MS, max_records=MOST_RECORDS)
                if not found:
                    break  # Faust knows what to do about what does not come
                self._apply(found, offsets)
        log.info("tables filled", offsets=sum(offsets[tp] for tp in ends) - begun)

    def _apply(self, found: Any, offsets: Any) -> None:
        changes: defaultdict[Any, list[Change]] = defaultdict(list)
        for partition, records in found.items():
            tp = TP(partition.topic, partition.partition)
            changes[self.tp_to_table[tp]] += [
                Change(tp, record.offset, tp.partition, record.key, record.value) for record in records
            ]
        for table, batch in changes.items():
            table.apply_changelog_batch(batch)
            for change in batch:
                offsets[change.tp] = change.offset


class BulkTables(TableManager):
    """Faust's table manager, with that recovery."""

    @property
    def recovery(self) -> Any:
        """Made at its first use, as Faust does."""
        if self._recovery is None:
            self._recovery = BulkRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
