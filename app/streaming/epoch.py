"""Which Kafka this is: told apart from one that was rebuilt empty under the same address.

Offsets begin at 0 again there, and whatever remembers old ones would take new records for known. A cluster's
id alone does not tell: some images give every cluster the same. So the namespace's topics have a birth mark,
the first record of `<namespace>.epoch`.
"""

import asyncio
import uuid

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from app.config import Settings
from app.errors import Transient
from app.kafka_client import client_options
from app.streaming.topics import SIGNAL_BYTES, Topic, ensure_topics

log = structlog.get_logger()

READ_S = 10.0


def epoch_topic(settings: Settings) -> Topic:
    """Compacted, and no key comes twice: its first record stays for ever."""
    return Topic(settings.topic("epoch"), 1, None, SIGNAL_BYTES)


async def own_epoch(settings: Settings) -> str:
    """The namespace's epoch, made where there is none. Raises Transient."""
    await ensure_topics(settings, [epoch_topic(settings)])
    found = await read_epoch(settings)
    if found is None:
        await _make(settings)
        found = await read_epoch(settings)
    if found is None:
        raise Transient(f"topic {epoch_topic(settings).name} does not show what was just written: try again")
    return found


async def is_still(settings: Settings, epoch: str) -> bool:
    """Whether this is the Kafka that gave this epoch; also where it does not answer now."""
    try:
        return await read_epoch(settings) == epoch
    except Transient as error:  # a new assignment will come
        log.warning("Kafka not recognised yet", reason=str(error))
        return True


async def read_epoch(settings: Settings) -> str | None:
    """`<cluster id>.<birth mark>`; None: the namespace has none here. Raises Transient."""
    tp = TopicPartition(epoch_topic(settings).name, 0)
    options = client_options(settings)
    admin = AIOKafkaAdminClient(**options, client_id="sigstream-epoch")
    consumer = AIOKafkaConsumer(**options, client_id="sigstream-epoch", enable_auto_commit=False)
    try:
        await admin.start()
        cluster = (await admin.describe_cluster())["cluster_id"]
        if not (await admin.describe_topics([tp.topic]))[0]["partitions"]:
            return None
        await consumer.start()
        mark = await _first(consumer, tp)
    except KafkaError as error:
        raise Transient(
            f"Kafka at {settings.need_kafka()} does not say which one it is: {error!r}"
        ) from error
    finally:
        await consumer.stop()
        await admin.close()
    return None if mark is None else f"{cluster}.{mark.decode()}"


async def _first(consumer: AIOKafkaConsumer, tp: TopicPartition) -> bytes | None:
    """Of several workers that began at once, the mark of the one that was first counts."""
    if not (await consumer.end_offsets([tp]))[tp]:
        return None
    consumer.assign([tp])
    await consumer.seek_to_beginning(tp)
    try:
        async with asyncio.timeout(READ_S):
            return bytes((await consumer.getone(tp)).key)
    except TimeoutError:
        raise Transient(f"topic {tp.topic} gives no record within {READ_S:g} s: try again") from None


async def _make(settings: Settings) -> None:
    producer = AIOKafkaProducer(**client_options(settings), acks="all")
    try:
        await producer.start()
        mark = uuid.uuid4().hex.encode()
        await producer.send_and_wait(epoch_topic(settings).name, b"{}", key=mark)
    except KafkaError as error:
        raise Transient(f"Kafka at {settings.kafka} takes no birth mark: {error!r}") from error
    finally:
        await producer.stop()
