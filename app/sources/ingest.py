"""The producer of `blocks`: raw `getblock` JSON in, records with the contract's headers out."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, Self
from uuid import uuid4

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from app.config import Settings
from app.errors import ContractError, DeliveryFailed, SigstreamError
from app.kafka_client import client_options
from app.kafka_diagnosis import connecting
from app.model.block import BLOCK_DECODER
from app.model.keys import canonical_symbol, write_ts
from app.model.wire import decode
from app.streaming.record import Headers
from app.streaming.topics import BLOCK_BYTES, ensure_topics, pipeline_topics

IN_FLIGHT = 8
"""Blocks that wait for their acknowledgement at once; each may hold 32 MB."""
RECORD_OVERHEAD_BYTES = 10_000
"""Room for key, headers and framing beside a value of the largest size."""


class BlockRecord(NamedTuple):
    """A record of `blocks` before it is sent; `value` is the block's JSON as it came."""

    chain: str
    hash: str
    height: int
    previousblockhash: str | None
    isolated: bool
    value: bytes

    def headers(self, correlation_id: str) -> list[tuple[str, bytes]]:
        """Its Kafka headers; `produced-at` is now."""
        pairs = {
            "chain": self.chain,
            "height": str(self.height),
            "correlation-id": correlation_id,
            "content-type": "application/json",
            "produced-at": write_ts(datetime.now(UTC)),
        }
        if self.previousblockhash:
            pairs["previousblockhash"] = self.previousblockhash
        if self.isolated:
            pairs["isolated"] = "1"
        return [(name, text.encode()) for name, text in pairs.items()]


class Source(NamedTuple):
    """A block to come: `label` names it in errors, `load` gives its JSON or raises SigstreamError."""

    label: str
    load: Callable[[], bytes]


class Sent(NamedTuple):
    """A block that Kafka has acknowledged."""

    label: str
    hash: str
    correlation_id: str
    partition: int
    offset: int


@dataclass(slots=True)
class Report:
    """What became of all sources; `failed` maps a label to the reason."""

    sent: list[Sent] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def ranges(self) -> dict[int, tuple[int, int, int]]:
        """Partition -> (records, first offset, last offset)."""
        offsets: dict[int, list[int]] = {}
        for sent in self.sent:
            offsets.setdefault(sent.partition, []).append(sent.offset)
        return {p: (len(found), min(found), max(found)) for p, found in sorted(offsets.items())}


def read_block(value: bytes, chain: str, *, isolated: bool = False) -> BlockRecord:
    """A record of a block's JSON. Raises ContractError: not a block, too large, or a wrong `chain`."""
    if len(value) > BLOCK_BYTES:
        raise ContractError(
            f"block: {len(value):,} bytes of JSON are more than {BLOCK_BYTES:,}: "
            "leave out witness, hex and asm of its transactions"
        )
    block = decode(BLOCK_DECODER, value, "block")
    chain = canonical_symbol(chain)
    return BlockRecord(chain, block.hash, block.height, block.previousblockhash, isolated, value)


def in_memory(blocks: Iterable[bytes]) -> Iterator[Source]:
    """Sources of blocks that need no file, numbered from 1."""
    for number, value in enumerate(blocks, 1):
        yield Source(f"block {number}", partial(bytes, value))


class BlockProducer:
    """Sends blocks: acknowledged by all replicas, idempotent, zstd."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.topic("blocks")
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> Self:
        """Create topics that are missing, and connect. Raises Transient without a broker."""
        await ensure_topics(self._settings, pipeline_topics(self._settings))
        self._producer = AIOKafkaProducer(
            **client_options(self._settings),
            client_id="sigstream-ingest",
            acks="all",
            enable_idempotence=True,
            compression_type="zstd",
            max_request_size=BLOCK_BYTES + RECORD_OVERHEAD_BYTES,
        )
        try:
            async with connecting(self._settings):
                await self._producer.start()
        except SigstreamError:
            await self._producer.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the connection; what was sent and not awaited is flushed."""
        assert self._producer is not None
        await self._producer.stop()

    async def send(self, label: str, record: BlockRecord) -> Sent:
        """Send and wait for the acknowledgement. Raises DeliveryFailed."""
        correlation_id = uuid4().hex
        headers = record.headers(correlation_id)
        what = f"{label} ({record.hash})"
        meta = await self.publish(self._topic, record.hash.encode(), record.value, headers, what)
        return Sent(label, record.hash, correlation_id, meta.partition, meta.offset)

    async def publish(self, topic: str, key: bytes, value: bytes, headers: Headers, what: str) -> Any:
        """Send any record (`topic` is its full name) and wait; where it is now. Raises DeliveryFailed."""
        assert self._producer is not None
        try:
            return await self._producer.send_and_wait(topic, value, key=key, headers=headers)
        except KafkaError as error:
            raise DeliveryFailed(f"Kafka did not take {what}: {error!r}") from error


async def ingest(
    settings: Settings,
    sources: Iterable[Source],
    chain: str,
    *,
    isolated: bool = False,
    done: Callable[[], None] = lambda: None,
) -> Report:
    """Send all sources as blocks of `chain`, in their order within a partition; bad ones are reported.

    `done` is called after each. Raises Transient when Kafka can't be reached, and ContractError for a
    wrong `chain`; everything else is in the report.
    """
    chain = canonical_symbol(chain)
    report = Report()
    async with BlockProducer(settings) as producer, asyncio.TaskGroup() as tasks:
        slots = asyncio.Semaphore(IN_FLIGHT)
        for source in sources:
            await slots.acquire()
            record = await _load(source, chain, isolated, report)
            if record is None:
                slots.release()
                done()
                continue
            tasks.create_task(_deliver(producer, source.label, record, report, slots, done))
    return report


async def _load(source: Source, chain: str, isolated: bool, report: Report) -> BlockRecord | None:
    try:
        value = await asyncio.to_thread(source.load)
        return await asyncio.to_thread(read_block, value, chain, isolated=isolated)
    except SigstreamError as error:
        report.failed[source.label] = str(error)
    except OSError as error:
        report.failed[source.label] = f"can't be read: {error.strerror or error}"
    return None


async def _deliver(
    producer: BlockProducer,
    label: str,
    record: BlockRecord,
    report: Report,
    slots: asyncio.Semaphore,
    done: Callable[[], None],
) -> None:
    try:
        report.sent.append(await producer.send(label, record))
    except DeliveryFailed as error:
        report.failed[label] = str(error)
    finally:
        slots.release()
        done()
