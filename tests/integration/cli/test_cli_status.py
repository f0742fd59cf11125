"""`sigstream status`: records, lag and outstanding counts, against what was put there."""

import asyncio
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from app.config import Settings
from app.query.kafka import open_reader
from app.query.outstanding import outstanding
from app.streaming.topics import changelog, ensure_topics, pipeline_topics
from tests.support.cli import Cli
from tests.support.probe import probe
from tests.support.signals import forwarded


@pytest.fixture
def run(cli: Cli, settings: Settings) -> Cli:
    """The command line on the test's own pipeline."""
    cli.use(settings)
    return cli


def status_of(run: Cli) -> tuple[dict[str, Any], dict[str, Any]]:
    """Topics by short name, groups by stage."""
    found: Any = run.json("status")
    prefix = f"{found['namespace']}."
    topics = {topic["name"].removeprefix(prefix): topic for topic in found["topics"]}
    return topics, {group["stage"]: group for group in found["groups"]}


async def fill(settings: Settings, count: int) -> None:
    """Records on `signals`, and a sink that has committed those of partition 0."""
    async with probe(settings) as kafka:
        await kafka.send("signals", forwarded(count, "sqlite", settings.signal_partitions))
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka, group_id=settings.group("sink.sqlite"), enable_auto_commit=False
    )
    await consumer.start()
    try:
        tp = TopicPartition(settings.topic("signals"), 0)
        consumer.assign([tp])
        await consumer.commit({tp: (await consumer.end_offsets([tp]))[tp]})
    finally:
        await consumer.stop()


def test_topics_that_do_not_exist_yet(run: Cli) -> None:
    topics, groups = status_of(run)
    assert {topic["partitions"] for topic in topics.values()} == {0}
    assert {group["state"] for group in groups.values()} == {"Dead"}
    assert "does not exist" in run("status").stdout


def test_lag_counts_what_a_group_has_not_committed(run: Cli, settings: Settings) -> None:
    asyncio.run(fill(settings, 40))

    async def in_partition_0() -> int:
        async with probe(settings) as kafka:
            return len([record for record in await kafka.read("signals") if record.partition == 0])

    done = asyncio.run(in_partition_0())
    topics, groups = status_of(run)
    assert done > 0
    assert topics["signals"] == {
        "name": settings.topic("signals"),
        "partitions": settings.signal_partitions,
        "records": 40,
    }
    assert groups["sink.sqlite"]["lag"] == {"signals": 40 - done}
    assert groups["receipts"]["lag"] == {"signals": 40, "signals.persisted": 0}
    assert groups["dedupe"]["total_lag"] == 0
    assert run.json("status")["at_rest"] is False  # type: ignore[index]


def test_an_idle_pipeline_is_at_rest(run: Cli, settings: Settings) -> None:
    asyncio.run(ensure_topics(settings, pipeline_topics(settings)))
    assert run.json("status")["at_rest"] is True  # type: ignore[index]


async def write_changelog(settings: Settings, partitions: list[list[tuple[bytes, bytes | None]]]) -> None:
    """Records of the outstanding table's changelog, a list a partition."""
    topic = changelog(settings, "receipts", "outstanding", settings.signal_partitions)
    await ensure_topics(settings, [topic])
    async with probe(settings) as kafka:
        for partition, records in enumerate(partitions):
            for key, value in records:
                await kafka.producer.send(topic.name, value, key=key, partition=partition)
        await kafka.producer.flush()


async def read_outstanding(settings: Settings) -> dict[str, int] | None:
    """What the reader makes of it."""
    async with open_reader(settings) as reader:
        return await outstanding(settings, reader)


def meta(partition: int, **counts: int) -> tuple[bytes, bytes]:
    """A partition's counts."""
    return b"%d/meta" % partition, orjson.dumps({"last_offset": 9, "last_origin": 9, "outstanding": counts})


def entries(partition: int, count: int) -> list[tuple[bytes, bytes | None]]:
    """Entries of single records, every other one deleted."""
    return [(b"%d/%d" % (partition, n), None if n % 2 else b'{"required":["sqlite"]}') for n in range(count)]


async def test_outstanding_is_unknown_before_the_agent_has_run(settings: Settings) -> None:
    assert await read_outstanding(settings) is None


async def test_outstanding_is_the_newest_count_of_every_partition(settings: Settings) -> None:
    await write_changelog(
        settings,
        [
            [meta(0, sqlite=100), meta(0, sqlite=1, timescale=2)],  # the newer one counts
            [meta(1, sqlite=50), *entries(1, 5), meta(1, sqlite=10), *entries(1, 3)],
            [meta(2, sqlite=100), *entries(2, 200)],  # far from the end
            entries(3, 30),  # none at all
        ],
    )
    assert await read_outstanding(settings) == {"sqlite": 111, "timescale": 2}


async def test_outstanding_shows_in_the_status(run: Cli, settings: Settings) -> None:
    await write_changelog(settings, [[meta(0, sqlite=7, bigquery=0)]])
    found = await asyncio.to_thread(run.json, "status")
    assert found["outstanding"] == {"bigquery": 0, "sqlite": 7}  # type: ignore[index]
    assert found["at_rest"] is False  # type: ignore[index]


async def test_aiokafka_still_misreads_the_second_of_two_groups(settings: Settings) -> None:
    """Once it does not, `Reader.group` may ask for all at once."""
    wanted = [settings.group("a"), settings.group("b")]
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        described = [answer.groups for answer in await admin.describe_consumer_groups(wanted)]
    finally:
        await admin.close()
    assert sorted(group[1] for groups in described for group in groups) != wanted
