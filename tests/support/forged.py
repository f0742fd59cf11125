"""What dedupe would write, and where it would stand, without one."""

from datetime import UTC, datetime

from aiokafka import AIOKafkaConsumer

from app.config import Settings
from app.dedupe import digest_of
from app.model.receipt import Origin, Outcome, Receipt
from app.model.signal import ENCODER, SignalBatch
from app.query.kafka import open_reader
from app.streaming.record import make_headers
from tests.support.pipeline import View
from tests.support.probe import until
from tests.support.signals import raw


async def said_to_be_known(pipe: View, batch: SignalBatch) -> tuple[int, int]:
    """As a dedupe would whose table is ahead of what it has forwarded; where the batch came in."""
    key, value, partition, _ = raw(batch, pipe.settings.signal_partitions)
    place = await pipe.send("signals.raw", value, key, partition)
    now = datetime.now(UTC)
    receipt = Receipt(
        stage="dedupe", origin=Origin(pipe.settings.topic("signals.raw"), *place), provider=batch.provider,
        symbol=batch.symbol, ts=batch.ts, outcomes={Outcome.SAME: [s.name for s in batch.signals]},
        received_at=now, finished_at=now,
    )  # fmt: skip
    await pipe.send("signals.persisted", ENCODER.encode(receipt), key, partition)
    return place


async def commit(settings: Settings, stage: str, topic: str) -> None:
    """A group says that it is done with all there is."""
    group = settings.group(stage)
    async with open_reader(settings) as reader:

        async def left() -> bool:
            return (await reader.group(group))[1] == 0

        partitions = await reader.partitions(settings.topic(topic))
        await until(left, f"{group} without members: static ones stay for a session")
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.need_kafka(), group_id=group, enable_auto_commit=False
    )
    await consumer.start()
    consumer.assign(partitions)
    try:
        await consumer.commit(await consumer.end_offsets(partitions))
    finally:
        await consumer.stop()


async def forward(pipe: View, batch: SignalBatch, partition: int | None, origin: int) -> None:
    """As dedupe would."""
    for signal in batch.signals:
        signal.version, signal.digest = 1, digest_of(signal)
    sinks = ",".join(pipe.settings.required_sinks)
    headers = make_headers("forged", origin_offset=origin, required_sinks=sinks)
    await pipe.send("signals", ENCODER.encode(batch), None, partition, headers=headers)
