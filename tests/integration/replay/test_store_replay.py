"""`sigstream replay`: stores filled again beside a live pipeline, which does not notice."""

from collections import Counter
from contextlib import closing

import orjson

from app.config import Settings
from app.embedded.bigquery import BigQuery
from app.embedded.postgres import Postgres
from app.query.kafka import open_reader
from app.sinks.bigquery import BigQueryConfig
from tests.support.commands import command
from tests.support.pipeline import Stores, View, running, view, with_stores
from tests.support.signals import PROVIDER, batch_of, raw
from tests.support.stores import BigQueryStore, PostgresStore, SqliteStore, empty_tables

BATCHES = 40


async def send(pipe: View, number: int, value: float, version: int) -> None:
    batch = batch_of(number, value=value, version=version)
    key, content, partition, _ = raw(batch, pipe.settings.signal_partitions)
    await pipe.send("signals.raw", content, key, partition)


async def replayed(settings: Settings, *options: str) -> dict[str, dict[str, int]]:
    """Outcomes by sink."""
    done = await command(settings, "replay", "--json", *options)
    assert done.code == 0, done.err
    return {name: found["total"] for name, found in orjson.loads(done.out)["targets"].items()}


async def committed(settings: Settings, stores: Stores) -> dict[str, object]:
    """Of all live groups."""
    async with open_reader(settings) as reader:
        stages = ("dedupe", "receipts", *(f"sink.{name}" for name in stores))
        return {stage: await reader.committed(settings.group(stage)) for stage in stages}


async def held(stores: Stores) -> dict[str, object]:
    return {
        name: (await store.latest(PROVIDER), await store.versions(PROVIDER)) for name, store in stores.items()
    }


async def empty(settings: Settings) -> None:
    await empty_tables(settings)
    config = BigQueryConfig.of(settings)
    with closing(config.rest_client()) as client:
        client.query_and_wait(f"DELETE FROM `{config.table_id}` WHERE TRUE")


async def test_emptied_stores_are_filled_again_beside_a_live_pipeline(
    settings: Settings, postgres: Postgres, bigquery: BigQuery
) -> None:
    settings, stores = await with_stores(
        settings, (SqliteStore(), PostgresStore(postgres), BigQueryStore(bigquery))
    )
    everything = ("--from-offset", "earliest")
    signals, versions = 3 * BATCHES, 3 * BATCHES + 3
    same = {name: {"unchanged": versions} for name in stores}
    with running(settings, stores, ("dedupe", "receipts")) as pipeline:
        async with view(pipeline) as pipe:
            for number in range(BATCHES):
                await send(pipe, number, 1.0, 1)
            await send(pipe, 7, 2.0, 2)
            await pipe.at_rest()
            before, offsets = await held(stores), await committed(settings, stores)
            receipts = len(await pipe.seen.of("signals.persisted"))

            assert await replayed(settings, *everything) == same
            assert await replayed(settings, *everything) == same
            assert await held(stores) == before

            await empty(settings)
            filled = {name: {"inserted": signals, "updated": 3} for name in stores}
            assert await replayed(settings, *everything, "--dry-run") == filled
            for store in stores.values():
                assert await store.count(PROVIDER) == 0
            assert await replayed(settings, *everything) == filled
            assert await held(stores) == before

            assert await committed(settings, stores) == offsets
            assert len(await pipe.seen.of("signals.persisted")) == receipts
            assert (await command(settings, "verify", "--drained")).code == 0
            await send(pipe, 7, 3.0, 3)  # the live writers were not fenced
            await pipe.at_rest()
            versions_of_bigquery: Counter[object] = Counter(await stores["bigquery"].versions(PROVIDER))
            assert set(versions_of_bigquery.values()) == {1}
            assert sum(versions_of_bigquery.values()) == versions + 3
