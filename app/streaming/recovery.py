"""Tables out of their changelogs, in bulk.

Faust 0.15.3 takes a changelog record by record, at a task and a timer each. The bulk of it is read here by a
consumer of our own, thousands at a time, before Faust recovers what is left.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.types import TP

from app.kafka_client import client_options
from app.streaming.topics import FETCH_BYTES

log = structlog.get_logger()

MOST_RECORDS = 2_000
"""Written to a table at once."""
WAIT_MS = 1_000
MOST_IDLE = 10
"""Reads in a row that bring nothing."""
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

    async def _wait(self, coro: Any, timeout: Any = None) -> None:
        """Until it is done, the worker stops, or another rebalance comes.

        Not for `timeout`: after it Faust gives the recovery up without a word, and the worker stays in its
        group and does nothing.
        """
        await super()._wait(coro)

    async def _build_offsets(self, consumer: Any, tps: Any, destination: Any, title: str) -> None:
        """Where to read on, after the bulk."""
        await super()._build_offsets(consumer, tps, destination, title)
        ends = {tp: self.active_highwaters[tp] or -1 for tp in tps} if title == "active" else {}
        left = {tp: end for tp, end in ends.items() if end > destination[tp]}
        if sum(end - destination[tp] for tp, end in left.items()) < WORTH_IT:
            return
        try:
            await self._fill(left, destination)
        except KafkaError as error:  # what is in the tables is what `destination` says
            log.warning("tables are filled the slow way", reason=repr(error))

    async def _fill(self, ends: dict[TP, int], offsets: Any) -> None:
        """Until each partition's `offsets`, of the last record that is in the table, are its end."""
        app: Any = self.app
        begun = sum(offsets[tp] for tp in ends)
        async with AIOKafkaConsumer(
            **client_options(app.settings),
            enable_auto_commit=False,
            auto_offset_reset="none",  # a gap is not to be jumped over
            max_partition_fetch_bytes=FETCH_BYTES,
        ) as reader:
            reader.assign([TopicPartition(tp.topic, tp.partition) for tp in ends])
            for tp in ends:
                reader.seek(TopicPartition(tp.topic, tp.partition), offsets[tp] + 1)
            await self._read_all(reader, ends, offsets)
        log.info("tables filled", offsets=sum(offsets[tp] for tp in ends) - begun)

    async def _read_all(self, reader: AIOKafkaConsumer, ends: dict[TP, int], offsets: Any) -> None:
        """Gives up, as Faust can do it, too, when nothing comes any more."""
        idle = 0
        while idle < MOST_IDLE and not self.signal_recovery_start.is_set():
            if all(offsets[tp] >= end for tp, end in ends.items()):
                return
            found = await reader.getmany(timeout_ms=WAIT_MS, max_records=MOST_RECORDS)
            if self.signal_recovery_start.is_set():
                return  # partitions may be somebody else's by now
            idle = 0 if found else idle + 1
            self._apply(found, ends, offsets)
            for tp, end in ends.items():  # compaction may have taken what was last
                if await reader.position(TopicPartition(tp.topic, tp.partition)) > end:
                    offsets[tp] = max(offsets[tp], end)

    def _apply(self, found: Any, ends: dict[TP, int], offsets: Any) -> None:
        """As one step for each table: what is in it and what `offsets` say stay the same."""
        changes: defaultdict[Any, list[Change]] = defaultdict(list)
        for partition, records in found.items():
            tp = TP(partition.topic, partition.partition)
            changes[self.tp_to_table[tp]] += [
                Change(tp, record.offset, tp.partition, record.key, record.value)
                for record in records
                if record.offset <= ends[tp]  # Faust takes more than it has asked for as corrupt
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
