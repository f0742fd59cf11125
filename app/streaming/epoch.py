"""Which Kafka this is: told apart from one that was rebuilt empty under the same address.

Offsets begin at 0 again there, and whatever remembers old ones would take new records for known. A cluster's
id alone does not tell: some images give every cluster the same. So the namespace's topics have a birth mark,
the first record of `<namespace>.epoch`.
"""

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, NoError, UnknownTopicOrPartitionError, for_code

from app.config import Settings
from app.errors import Transient
from app.kafka_client import client_options
from app.streaming.topics import SIGNAL_BYTES, Topic, ensure_topics

log = structlog.get_logger()

READ_S = 10.0
ABSENT_S = 1.0
"""Between two looks at a mark that is missing; after a failed one at first, then longer."""
LONGEST_WAIT_S = 60.0


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
    """Whether this is the Kafka that gave this epoch; asked until it is known, however long that takes.

    A broker that has just begun may not have heard of the topic: only what is missing twice is gone.
    """
    missing, wait_s = False, ABSENT_S
    while True:
        try:
            found = await read_epoch(settings)
        except Exception as error:  # whatever it is, records must go on meanwhile
            log.warning("Kafka not recognised yet", reason=str(error) or repr(error), next_try_s=wait_s)
        else:
            if found is not None or missing:
                return found == epoch
            missing, wait_s = True, ABSENT_S
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)


async def read_epoch(settings: Settings) -> str | None:
    """`<cluster id>.<birth mark>`; None: the namespace has none here. Raises Transient."""
    tp = TopicPartition(epoch_topic(settings).name, 0)
    options = client_options(settings)
    admin = AIOKafkaAdminClient(**options, client_id="sigstream-epoch")
    consumer = AIOKafkaConsumer(**options, client_id="sigstream-epoch", enable_auto_commit=False)
    try:
        await admin.start()
        cluster = (await admin.describe_cluster())["cluster_id"]
        if not _exists((await admin.describe_topics([tp.topic]))[0]):
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


def _exists(topic: Mapping[str, Any]) -> bool:
    """Raises KafkaError where the broker won't tell: the right to describe may be missing, or a leader."""
    error = for_code(topic["error_code"])
    if error not in (NoError, UnknownTopicOrPartitionError):
        raise error(topic["topic"])
    return error is NoError


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
