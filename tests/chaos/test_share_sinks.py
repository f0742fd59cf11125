"""Two workers of one sink: they share the partitions, and one takes over from a killed one."""

from aiokafka.admin import AIOKafkaAdminClient

from app.config import Settings
from app.embedded.bigquery import BigQuery
from tests.support.probe import probe, until
from tests.support.processes import worker
from tests.support.signals import forwarded
from tests.support.stores import BigQueryStore

RECORDS = 600
NAMES = 5


async def members(settings: Settings, stage: str) -> int:
    """Members of a group that have partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.need_kafka())
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([settings.group(stage)])
    finally:
        await admin.close()
    (group,) = answer.groups
    return len([member for member in group[5] if len(member[4]) > 20])


async def test_a_takeover_doubles_nothing_in_the_history(settings: Settings, bigquery: BigQuery) -> None:
    store = BigQueryStore(bigquery)
    settings = await store.settings(settings.model_copy(update={"sink_batch_signals": 100}))
    messages = forwarded(RECORDS, store.sink, settings.signal_partitions, NAMES)
    async with probe(settings) as found:
        with (
            worker(settings, "sink", store.sink) as first,
            worker(settings, "sink", store.sink, tag="-2") as second,
        ):

            async def both() -> bool:
                assert first.returncode is None, first.log
                assert second.returncode is None, second.log
                return await members(settings, "sink.bigquery") == 2

            await until(both, "two members", log=lambda: first.log + second.log)
            await found.send("signals", messages)
            await until(lambda: some(store), "some rows", log=lambda: first.log)
            assert first.kill() == -9
            assert await found.lag("sink.bigquery", "signals") > 0
            await until(lambda: everything(store), "all rows", log=lambda: second.log)
            assert second.stop() == 0
    rows = await store.rows()
    assert {key: count for key, count in rows.items() if count > 1} == {}
    assert len(rows) == RECORDS * NAMES


async def some(store: BigQueryStore) -> bool:
    return sum((await store.rows()).values()) >= RECORDS * NAMES // 5


async def everything(store: BigQueryStore) -> bool:
    return len(await store.rows()) >= RECORDS * NAMES
