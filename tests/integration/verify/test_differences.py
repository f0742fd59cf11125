"""`sigstream verify` finds what was taken away, added, changed or doubled behind the pipeline's back."""

import asyncio
import sqlite3
from contextlib import closing

import asyncpg
import orjson

from app.config import Settings, plain
from app.embedded.bigquery import BigQuery
from app.embedded.postgres import Postgres
from app.sinks.bigquery import BigQueryConfig
from app.sources.simulator import simulate
from tests.support.cli import Cli
from tests.support.forged import commit, forward, said_to_be_known
from tests.support.pipeline import View, running, view, with_stores
from tests.support.signals import batch_of, raw, ts_of
from tests.support.stores import BigQueryStore, PostgresStore, SqliteStore

BATCHES = 40
ROW = "provider = 'test' AND symbol = 'TEST' AND name = 'n1' AND ts = "
Found = set[tuple[str, str, int, str]]


async def send(pipe: View, *numbers: int, version: int = 1) -> None:
    for number in numbers:
        batch = batch_of(number, value=float(version), version=version)
        key, value, partition, _ = raw(batch, pipe.settings.signal_partitions)
        await pipe.send("signals.raw", value, key, partition)


async def looked(cli: Cli, *options: str) -> tuple[int, Found]:
    """Exit code of `verify`, and what it found: kind, where, how many, the first example."""
    result = await asyncio.to_thread(cli, "verify", "--json", *options)
    findings = orjson.loads(result.stdout)["findings"]
    return result.exit_code, {(f["kind"], f["where"], f["count"], first(f["examples"])) for f in findings}


def first(examples: list[dict[str, str]]) -> str:
    """The earliest `ts` of them."""
    return min(example["key"] for example in examples)[-27:]


async def test_all_differences_are_found(
    settings: Settings, postgres: Postgres, bigquery: BigQuery, cli: Cli
) -> None:
    settings, stores = await with_stores(
        settings, (SqliteStore(), PostgresStore(postgres), BigQueryStore(bigquery))
    )
    cli.use(settings)
    with running(settings, stores, ("dedupe", "receipts")) as pipeline:
        async with view(pipeline) as pipe:
            await send(pipe, *range(BATCHES), 7)
            await pipe.at_rest()
            assert await looked(cli, "--drained") == (0, set())
            await beside_a_running_pipeline(pipe, cli)
    await in_stores(settings)
    block = next(simulate(1, seed=1))
    async with view(pipeline) as pipe:
        await on_topics(pipe)
        await pipe.send("blocks", block, b"block", headers=[("isolated", b"1"), ("chain", b"BTC-SIM")])
        code, found = await looked(cli)
    assert code == 1
    assert found == {
        ("outstanding", "blocks", 1, "BTC-SIM|0"),
        ("missing", "sqlite", 1, ts_of(1)),
        ("different", "sqlite", 1, ts_of(2)),
        ("extra", "sqlite", 1, ts_of(3)),
        ("missing", "timescale", 1, ts_of(4)),
        ("doubled", "bigquery", 1, ts_of(5)),
        ("missing", "signals", 6, ts_of(BATCHES)),
        ("extra", "signals", 4, ""),
        ("doubled", "signals", 3, ts_of(6)),
        *(("outstanding", sink, 2, ts_of(6)) for sink in stores),
    }
    await commit(settings, "sink.sqlite", "signals")
    await commit(settings, "blocks", "blocks")
    code, found = await looked(cli)
    assert code == 1
    assert ("missing", "blocks", 1, "BTC-SIM|0") in found
    assert ("unreceipted", "sqlite", 2, ts_of(6)) in found
    assert ("missing", "sqlite", 4, ts_of(1)) in found


async def beside_a_running_pipeline(pipe: View, cli: Cli) -> None:
    """New signals, and new versions of old ones, come while it is compared."""
    going = True

    async def go_on() -> int:
        sent = 0
        while going:
            await send(pipe, 1000 + sent % 300, version=2 + sent)
            sent += 1
        return sent

    sending = asyncio.ensure_future(go_on())
    try:
        looks = [await looked(cli) for _ in range(3)]
    finally:
        going = False
    assert await sending > 0
    await pipe.at_rest()
    assert [code for code, _ in looks] == [0, 0, 0]
    assert {kind for _, found in looks for kind, *_ in found} <= {"outstanding"}


async def in_stores(settings: Settings) -> None:
    """A row less, one that is older, one too many; a row less; a row twice."""
    with closing(sqlite3.connect(settings.sqlite_file, isolation_level=None)) as file:
        file.execute(f"DELETE FROM signals WHERE {ROW} '{ts_of(1)}'")
        file.execute(f"UPDATE signals SET version = version - 1 WHERE {ROW} '{ts_of(2)}'")
        file.execute("CREATE TEMP TABLE one AS SELECT * FROM signals WHERE " + ROW + f"'{ts_of(3)}'")
        file.execute("UPDATE one SET name = 'nobody'")
        file.execute("INSERT INTO signals SELECT * FROM one")
    connection = await asyncpg.connect(plain(settings.timescale_dsn))
    await connection.execute(f"DELETE FROM signals WHERE {ROW} '{ts_of(4)}'")
    await connection.close()
    config = BigQueryConfig.of(settings)
    table = f"`{config.table_id}`"
    with closing(config.rest_client()) as client:
        client.query_and_wait(
            f"INSERT INTO {table} SELECT * FROM {table} WHERE {ROW} TIMESTAMP('{ts_of(5)}')"
        )


async def on_topics(pipe: View) -> None:
    """A record that nobody forwarded, a forward that nobody asked for, one that comes again, and no batch."""
    n = pipe.settings.signal_partitions
    lost, invented, again = (batch_of(each, version=1) for each in (BATCHES, BATCHES + 1, 6))
    key, value, partition, _ = raw(lost, n)
    _, offset = await pipe.send("signals.raw", value, key, partition)
    await forward(pipe, invented, partition, offset)
    key, value, partition, _ = raw(again, n)
    _, offset = await pipe.send("signals.raw", value, key, partition)
    await forward(pipe, again, partition, offset)
    await said_to_be_known(pipe, batch_of(BATCHES + 2, version=1))
    await pipe.send("signals", b"neither JSON nor dedupe's", b"poison")
    await commit(pipe.settings, "dedupe", "signals.raw")
