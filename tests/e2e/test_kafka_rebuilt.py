"""Kafka is lost with all that was in it and built anew, the stores are kept: nothing is lost or doubled."""

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.config import Settings
from app.embedded.bigquery import BigQuery
from app.embedded.kafka import Kafka
from app.embedded.postgres import Postgres
from app.sources.scenario import Scenario
from app.streaming.delivery import EXIT_CODE
from app.streaming.topics import ensure_topics, pipeline_topics
from tests.support.blocks import message
from tests.support.history import (
    PROVIDER,
    WITHIN_S,
    Content,
    at_rest_with,
    computed,
    differences,
    in_range,
    stored,
)
from tests.support.pipeline import Stores, View, running, view, with_stores
from tests.support.probe import probe, until
from tests.support.processes import Worker, worker
from tests.support.signals import forwarded
from tests.support.stores import BigQueryStore, Key, PostgresStore, SqliteStore

SCENARIO = Scenario(seed=6, blocks=90, transactions=(2, 6))
STORED = 50
"""Blocks that are in the stores when Kafka is lost; ..."""
SEEN = 70
"""... and those that dedupe has seen, too: only Kafka had their signals."""


@pytest.fixture
def own_kafka(servers_dir: Path, namespace: str) -> Iterator[Kafka]:
    with Kafka(servers_dir / namespace) as server:
        yield server


def rebuild(server: Kafka) -> None:
    """Empty, at the same address."""
    server.stop()
    shutil.rmtree(server.directory / "data")
    server.start()


async def until_seen(pipe: View, blocks: int) -> None:
    """Dedupe has forwarded and remembers the signals of so many blocks."""

    async def all_seen() -> bool:
        return await pipe.kafka.count("signals") >= blocks and not await pipe.kafka.lag(
            "dedupe", "signals.raw"
        )

    await pipe.until(all_seen, f"{blocks} blocks' signals on `signals`", WITHIN_S)


async def test_stores_go_on_with_an_empty_kafka(
    settings: Settings, postgres: Postgres, bigquery: BigQuery, own_kafka: Kafka
) -> None:
    main = SCENARIO.main
    own = settings.model_copy(update=own_kafka.settings())
    own, stores = await with_stores(own, (SqliteStore(), PostgresStore(postgres), BigQueryStore(bigquery)))
    expected = await asyncio.to_thread(computed, own, main)
    with running(own, stores) as pipeline:
        async with view(pipeline) as pipe:
            await pipe.kafka.send("blocks", map(message, main[:STORED]))
            await at_rest_with(pipe, in_range(expected, main, 0, STORED))
            for sink in stores:
                assert pipeline.workers.pop(f"sink.{sink}").stop() == 0
            await pipe.kafka.send("blocks", map(message, main[STORED:SEEN]))
            await until_seen(pipe, SEEN)
            assert await pipe.kafka.lag("sink.sqlite", "signals") == SEEN - STORED
            for agent in ("blocks", "receipts"):
                assert pipeline.workers[agent].stop() == 0
        rebuild(own_kafka)
        await go_on(own, stores, expected, pipeline.workers["dedupe"])
    for name, store in stores.items():
        assert await stored(store) == expected, name
        assert set((await store.versions(PROVIDER)).values()) == {1}, name
    aside = {found.parent.name for found in (own.data_dir / "workers").glob("*/state-of-*")}
    assert aside >= {f"{own.namespace}.{agent}-0" for agent in ("blocks", "receipts")}


async def go_on(own: Settings, stores: Stores, expected: dict[Key, Content], left: Worker) -> None:
    """The same namespace and directories; a dedupe worker that was forgotten ends by itself."""
    began = datetime.now(UTC)
    again = own.model_copy(update={"emit_from_height": STORED - 10})
    with running(again, stores) as pipeline:
        async with view(pipeline) as pipe:

            async def ended() -> bool:
                return left.returncode is not None

            await pipe.kafka.send("blocks", map(message, SCENARIO.main))
            await pipe.until(ended, f"the worker of the old Kafka ends; {left.log}", WITHIN_S)
            assert left.returncode == EXIT_CODE
            assert "Kafka was rebuilt while this worker ran" in left.log
            await at_rest_with(pipe, set(expected))
            assert await pipe.kafka.count("signals.settled") == SCENARIO.blocks - STORED + 10
    older = len(in_range(expected, SCENARIO.main, 0, STORED - 10))
    assert await differences(again) == {("extra", sink, older) for sink in stores}
    assert await differences(again, since=began) == set()


async def test_a_sink_that_waits_for_its_store_takes_all_of_the_new_kafka(
    settings: Settings, own_kafka: Kafka
) -> None:
    """What it had read is of the old one: neither written nor committed over what has those offsets now."""
    own = settings.model_copy(update={**own_kafka.settings(), "sinks": ("sqlite",), "signal_partitions": 1})
    own, stores = await with_stores(own, [SqliteStore()])
    fresh = forwarded(200, "sqlite", 1, names=1, first=1_000)
    with worker(own, "sink", "sqlite") as sink:
        async with probe(own) as found:
            await found.send("signals", forwarded(10, "sqlite", 1, names=1))
            await until(lambda: holds(stores, 10), "the sink writes", log=lambda: sink.log)
            with closing(sqlite3.connect(own.sqlite_file, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                await found.send("signals", forwarded(350, "sqlite", 1, names=1, first=10))
                await until(lambda: says(sink, "sink waits"), "the sink waits", log=lambda: sink.log)
                rebuild(own_kafka)
                assigned = sink.whole_log.count("partitions assigned")
                await ensure_topics(own, pipeline_topics(own))
                await until(lambda: says(sink, "partitions assigned", assigned + 1), "the sink is back")
                other.execute("ROLLBACK")
        async with probe(own) as found:
            await found.send("signals", fresh)
            await until(lambda: holds(stores, 210), "all of the new Kafka", log=lambda: sink.log)
            assert sink.stop() == 0
            assert await found.lag("sink.sqlite", "signals") == 0


async def holds(stores: Stores, rows: int) -> bool:
    return len(await stores["sqlite"].rows()) >= rows


async def says(running: Worker, text: str, times: int = 1) -> bool:
    return running.whole_log.count(text) >= times
