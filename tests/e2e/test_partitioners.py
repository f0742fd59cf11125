"""Ten thousand single signals of a librdkafka producer, whose partitioners are not Kafka's."""

import asyncio
from collections import Counter
from collections.abc import Iterable

import msgspec
from confluent_kafka import Producer

from app.model.keys import partition_of
from app.model.receipt import RECEIPT_DECODER, Outcome
from app.streaming.record import REKEYED
from tests.support.pipeline import View
from tests.support.probe import without_repeats
from tests.support.signals import ts_of
from tests.support.stores import Key

COUNT = 10_000
PROVIDER = "librdkafka"
DEADLINE_S = 240.0


def key_of(number: int) -> bytes:
    return f"{PROVIDER}|QQQ|{ts_of(number)}".encode()


def value_of(number: int) -> bytes:
    """One flat signal, without a version: the repeat has a later one."""
    fields = {
        "provider": PROVIDER,
        "symbol": "QQQ",
        "ts": ts_of(number),
        "name": "cross",
        "value": number / 8,
    }
    return msgspec.json.encode(fields)


def produce(servers: str, topic: str, records: Iterable[tuple[bytes | None, bytes]]) -> None:
    """With the defaults of confluent-kafka; all acknowledged on return."""
    failed: list[object] = []
    producer = Producer({"bootstrap.servers": servers, "acks": "all"})
    for key, value in records:
        producer.produce(
            topic, value, key, on_delivery=lambda error, _: failed.append(error) if error else None
        )
        producer.poll(0)
    assert producer.flush(60) == 0
    assert failed == []


async def send(pipe: View, *, keyed: bool) -> None:
    records = [(key_of(number) if keyed else None, value_of(number)) for number in range(COUNT)]
    servers, topic = pipe.settings.need_kafka(), pipe.settings.topic("signals.raw")
    await asyncio.to_thread(produce, servers, topic, records)


async def test_none_is_lost_or_doubled_with_and_without_keys(pipe: View) -> None:
    await send(pipe, keyed=True)
    await send(pipe, keyed=False)
    await pipe.at_rest(DEADLINE_S)

    assert await misplaced(pipe) > COUNT, "too few on a partition not their own to show anything"
    taken = Counter(record.key for record in without_repeats(await pipe.seen.of("signals")))
    assert taken == Counter(key_of(number) for number in range(COUNT))
    assert await repeats(pipe) == taken
    expected: Counter[Key] = Counter((PROVIDER, "QQQ", ts_of(number), "cross") for number in range(COUNT))
    for sink, store in pipe.stores.items():
        assert Counter(key for key, _ in (await store.versions(PROVIDER)).elements()) == expected, sink


async def misplaced(pipe: View) -> int:
    """Records that a producer put on another partition than Kafka's own partitioner would."""
    homes = {value_of(n): partition_of(key_of(n), pipe.settings.signal_partitions) for n in range(COUNT)}
    sent = [record for record in await pipe.seen.of("signals.raw") if REKEYED not in record.headers]
    assert len(sent) == 2 * COUNT
    return sum(record.partition != homes[record.value or b""] for record in sent)


async def repeats(pipe: View) -> Counter[bytes | None]:
    """Keys that dedupe called the same as before."""
    answers = [
        (r.key, RECEIPT_DECODER.decode(r.value or b"")) for r in await pipe.seen.of("signals.persisted")
    ]
    return Counter(key for key, receipt in answers if receipt.outcomes == {Outcome.SAME: ["cross"]})
