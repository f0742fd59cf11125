"""A partition's records, from what came in to the receipts, into the scratch database."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, NamedTuple

from aiokafka import TopicPartition

from app.config import Settings
from app.dedupe import decide
from app.errors import ContractError
from app.model.block import HEADER_DECODER
from app.model.keys import batch_key, partition_of, version_of
from app.model.raw import read_raw
from app.model.receipt import RECEIPT_DECODER, Outcome
from app.model.wire import decode
from app.processors.run import PROVIDER
from app.query.kafka import Reader
from app.sinks.incoming import read_forwarded
from app.streaming.record import (
    ORIGIN_OFFSET,
    REKEYED,
    REPLAYED_FROM,
    REQUIRED_SINKS,
    Record,
    first_seen,
    origin_in,
)
from app.verify.scratch import Scratch
from app.verify.span import Span

Rows = dict[str, list[tuple[Any, ...]]]
AT_ONCE = 500
"""Records between two writes to the scratch database."""
FOR_EVER_MS = int(timedelta(days=36_500).total_seconds() * 1000)

Step = Callable[[int], None]
"""Told how many records were read."""


class Reading(NamedTuple):
    """Records of a partition from `first` up to, and without, `end`, and what is made of each."""

    tp: TopicPartition
    first: int
    end: int
    take: Callable[[Record, Rows], None]

    @property
    def records(self) -> int:
        """How many."""
        return max(0, self.end - self.first)


class Topics:
    """Reads one pipeline's topics: what there is to read is found first, so that it can be counted."""

    def __init__(self, settings: Settings, reader: Reader, scratch: Scratch) -> None:
        self._settings = settings
        self._reader = reader
        self._scratch = scratch
        self._committed: dict[str, dict[TopicPartition, int]] = {}
        self._ends: dict[int, int] = {}
        """How far each partition of `signals` is read."""

    async def of(self, span: Span) -> list[Reading]:
        """All that belongs to one partition's span."""
        for sink in self._settings.required_sinks:
            if sink not in self._committed:
                group = self._settings.group(f"sink.{sink}")
                self._committed[sink] = await self._reader.committed(group)
        raw = TopicPartition(self._settings.topic("signals.raw"), span.partition)
        signals = await self._later("signals", span, self._of_signals_of(span))
        self._ends[span.partition] = signals.end
        return [
            Reading(raw, span.first, span.end, self._of_raw),
            Reading(raw, span.end, span.log_end, _of_arrival),
            signals,
            await self._later("signals.persisted", span, self._of_receipt),
        ]

    async def since(self, span: Span) -> Reading:
        """What was forwarded meanwhile: stores may have it by now."""
        tp = TopicPartition(self._settings.topic("signals"), span.partition)
        _, end = (await self._reader.bounds([tp]))[tp]
        return Reading(tp, self._ends[span.partition], end, _of_later)

    async def dead_letters(self) -> list[Reading]:
        """Of all partitions: they lie where their key says, or anywhere."""
        partitions = await self._reader.partitions(self._settings.topic("dead-letters"))
        bounds = await self._reader.bounds(partitions)
        return [Reading(tp, *bounds[tp], self._of_dead_letter) for tp in partitions]

    async def _later(self, topic: str, span: Span, take: Callable[[Record, Rows], None]) -> Reading:
        """Answers to the span's records, up to the end."""
        tp = TopicPartition(self._settings.topic(topic), span.partition)
        begin, end = (await self._reader.bounds([tp]))[tp]
        found = await self._reader.offset_at(tp, span.since_ms) if span.since_ms else begin
        return Reading(tp, end if found is None else found, end, take)

    async def collect(self, reading: Reading, step: Step) -> None:
        """What is made of each record, into the scratch database, some hundred records at once.

        Steps are of offsets: what left the topic meanwhile (retention) counts as read.
        """
        rows: Rows = {}
        at = reading.first
        async for record in self._reader.read(reading.tp, reading.first, reading.end):
            reading.take(record, rows)
            if record.offset + 1 - at >= AT_ONCE:
                self._flush(rows)
                step(record.offset + 1 - at)
                at = record.offset + 1
        self._flush(rows)
        step(max(0, reading.end - at))

    def _flush(self, rows: Rows) -> None:
        for table, held in rows.items():
            self._scratch.add(table, held)
        rows.clear()

    def _of_raw(self, record: Record, rows: Rows) -> None:
        """What dedupe is to make of it, had it seen nothing before."""
        try:
            batch, refused = read_raw(record.value, uppercase=self._settings.uppercase_symbols)
        except ContractError:
            add(rows, "raw", [(record.partition, record.offset, "", "", None, None)])
            return
        key = batch_key(batch.provider, batch.symbol, batch.ts)
        if partition_of(key, self._settings.signal_partitions) != record.partition:
            add(rows, "moved", [(record.partition, record.offset, key.decode())])
            return
        _of_arrival(record, rows)
        version = version_of(*first_seen(record))
        signals = list(batch.signals)
        for signal in signals:
            signal.digest = None  # a producer's own says nothing
        verdict = decide(
            batch, refused, None, version=version, now=record.appended_at, lifetime_ms=FOR_EVER_MS
        )
        place = (record.partition, record.offset, key.decode())
        add(rows, "raw", ((*place, name, None, None) for name in verdict.reasons))
        if batch.provider == PROVIDER:
            by = {(batch.symbol, s.block_hash, s.signal_type) for s in signals if s.block_hash}
            add(rows, "computed", by)
        good = (signal for signal in signals if signal.digest is not None)
        add(rows, "raw", ((*place, s.name, s.version, s.digest) for s in good))

    def _of_signals_of(self, span: Span) -> Callable[[Record, Rows], None]:
        """What is made of a record of `signals`; they come in order."""
        last = -1

        def take(record: Record, rows: Rows) -> None:
            nonlocal last
            origin = record.header_int(ORIGIN_OFFSET)
            if origin is not None and origin <= last:
                return  # what a crashed dedupe worker forwarded twice; sinks drop it, too
            if origin is None and REPLAYED_FROM in record.headers:
                return  # a dead letter of a sink, once more
            last = origin if origin is not None else last
            if origin is not None and origin >= span.end:
                _of_later(record, rows)
            elif origin is None or origin >= span.first:
                self._of_signals(record, -1 if origin is None else origin, rows)

        return take

    def _of_signals(self, record: Record, origin: int, rows: Rows) -> None:
        try:
            batch = read_forwarded(record.value)
        except ContractError:  # not dedupe's
            add(rows, "forward", [(record.partition, record.offset, -1, "", "", 0, 0)])
            return
        key = batch_key(batch.provider, batch.symbol, batch.ts).decode()
        place = (record.partition, record.offset)
        add(rows, "forward", ((*place, origin, key, s.name, s.version, s.digest) for s in batch.signals))
        tp = TopicPartition(record.topic, record.partition)
        required = record.headers.get(REQUIRED_SINKS, b"").decode(errors="replace").split(",")
        for sink in self._settings.required_sinks:
            read = record.offset < self._committed[sink].get(tp, 0)
            if not read or sink in required:
                add(rows, "owed" if read else "pending", [(*place, sink, len(batch.signals), key)])

    def _of_receipt(self, record: Record, rows: Rows) -> None:
        try:
            receipt = decode(RECEIPT_DECODER, record.value, "receipt")
        except ContractError:  # the receipts stage makes a dead letter of it
            return
        place = (receipt.origin.partition, receipt.origin.offset)
        if receipt.stage == "dedupe":
            named = ((name, outcome) for outcome, names in receipt.outcomes.items() for name in names)
            add(rows, "answer", ((*place, name, outcome) for name, outcome in named))
            return
        signals = sum(map(len, receipt.outcomes.values()))
        add(rows, "receipt", [(*place, receipt.stage, signals)])
        refused = receipt.outcomes.get(Outcome.REJECTED, [])
        add(rows, "rejected", ((*place, receipt.stage, name) for name in refused))

    def _of_dead_letter(self, record: Record, rows: Rows) -> None:
        origin = (record.header_int("origin-partition"), record.header_int("origin-offset"))
        topic = record.headers.get("origin-topic", b"").decode(errors="replace")
        if topic == self._settings.topic("block-features"):
            add(rows, "buried_features", _hash_of(record))
        tables = {
            self._settings.topic("signals.raw"): "buried",
            self._settings.topic("blocks"): "buried_block",
        }
        if topic in tables and None not in origin:
            add(rows, tables[topic], [origin])


def _of_later(record: Record, rows: Rows) -> None:
    add(rows, "later", [((record.key or b"").decode(errors="replace"),)])


def _hash_of(record: Record) -> list[tuple[str]]:
    try:
        return [(decode(HEADER_DECODER, record.value, "block features").hash,)]
    except ContractError:
        return []


def _of_arrival(record: Record, rows: Rows) -> None:
    if origin := origin_in(record, REKEYED):
        add(rows, "arrived", [origin[:2]])


def add(rows: Rows, table: str, found: Iterable[tuple[Any, ...]]) -> None:
    """Hold rows of a table for the next write."""
    rows.setdefault(table, []).extend(found)
