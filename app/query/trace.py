"""One signal's way through the pipeline, read from the topics.

The key leads to one partition of each signal topic; the correlation id of what is found there leads
back to the block. Partitions are read through from the first record that is kept: an answer for a
person who waits, not for a program that asks often.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from aiokafka import TopicPartition

from app.config import Settings
from app.errors import ContractError, Terminal
from app.model.keys import batch_key, canonical_symbol, canonical_ts, identifier, partition_of
from app.query.kafka import Reader
from app.query.steps import Step, block_hashes, names_signals, origin_of, steps_of
from app.streaming.record import REKEYED, Record

BEFORE_MS = 3_600_000
"""A block is looked for in the hour before its signals were appended, and only then everywhere."""


class TraceKey(NamedTuple):
    """What is asked for; without `name`, all signals of the batch."""

    provider: str
    symbol: str
    ts: str
    name: str | None = None

    @property
    def kafka_key(self) -> bytes:
        """Key of its records."""
        return batch_key(self.provider, self.symbol, self.ts)

    def __str__(self) -> str:
        return "|".join(part for part in self if part)


def parse_key(text: str) -> TraceKey:
    """`provider|symbol|ts`, with or without `|name`. Raises ContractError."""
    parts = text.split("|", 3)
    if len(parts) < 3:
        raise ContractError(
            f"key {text!r} has {len(parts)} of at least 3 parts: send 'provider|symbol|ts' or "
            "'provider|symbol|ts|name', in quotes, as `|` means something to a shell"
        )
    return TraceKey(
        identifier("provider", parts[0]), canonical_symbol(parts[1]), canonical_ts(parts[2]), *parts[3:]
    )


async def trace(settings: Settings, reader: Reader, key: TraceKey) -> list[Step]:
    """All that is known of the key, oldest first. Raises Terminal when that is nothing."""
    records = await _signal_records(settings, reader, key)
    records += await _block_records(settings, reader, records, key)
    steps = sorted(steps_of(settings, records, key.name), key=lambda step: (step.at, step.rank))
    if not any(names_signals(settings, step) for step in steps):
        raise Terminal(
            f"nothing is known of {key}: check the spelling (`sigstream signals` lists what is stored), "
            f"or its records are older than what topics of namespace {settings.namespace} keep"
        )
    return steps


async def _signal_records(settings: Settings, reader: Reader, key: TraceKey) -> list[Record]:
    """Of its own partition, from the end of the pipeline to its begin: answers name what they answer."""
    wanted = key.kafka_key
    records: list[Record] = []
    for topic in ("signals.settled", "signals.persisted", "signals", "dead-letters"):
        records += await _matching(settings, reader, topic, wanted, lambda record: record.key == wanted)
    origins = {offset for record in records if (offset := origin_of(settings, record)) is not None}
    raw = await _matching(
        settings,
        reader,
        "signals.raw",
        wanted,
        lambda record: record.key == wanted or record.offset in origins,
    )
    return [*records, *raw, *await _moved(reader, raw)]


async def _matching(
    settings: Settings, reader: Reader, topic: str, key: bytes, match: Callable[[Record], bool]
) -> list[Record]:
    partitions = await reader.partitions(settings.topic(topic))
    if not partitions:
        return []
    tp = TopicPartition(settings.topic(topic), partition_of(key, len(partitions)))
    begin, end = (await reader.bounds([tp]))[tp]
    return [record async for record in reader.read(tp, begin, end) if match(record)]


async def _moved(reader: Reader, raw: Iterable[Record]) -> list[Record]:
    """Where the producer had put records that dedupe re-sent to the key's own partition."""
    found = []
    for record in raw:
        partition, _, offset = record.headers.get(REKEYED, b"").partition(b"/")
        if partition.isdigit() and offset.isdigit():
            tp = TopicPartition(record.topic, int(partition))
            found += [original async for original in reader.read(tp, int(offset), int(offset) + 1)]
    return found


async def _block_records(
    settings: Settings, reader: Reader, records: list[Record], key: TraceKey
) -> list[Record]:
    """The block and its features, by correlation id; only signals of a block have one."""
    ids = {record.correlation_id for record in records} - {None}
    if not ids or not block_hashes(settings, records, key.name):
        return []
    upto = max(record.timestamp_ms for record in records)
    since = min(record.timestamp_ms for record in records) - BEFORE_MS
    found = []
    for topic in ("blocks", "block-features"):
        for start in (since, 0):
            matches = await _between(reader, settings.topic(topic), start, upto, ids)
            if matches:
                found += matches
                break
    return found


async def _between(
    reader: Reader, topic: str, since_ms: int, upto_ms: int, ids: set[str | None]
) -> list[Record]:
    found: list[Record] = []
    for tp in await reader.partitions(topic):
        start = await reader.offset_at(tp, since_ms)
        if start is None:
            continue
        end = await reader.offset_at(tp, upto_ms + 1)
        if end is None:
            end = (await reader.bounds([tp]))[tp][1]
        found += [r async for r in reader.read(tp, start, end) if r.correlation_id in ids]
    return found
