"""`sigstream replay --recompute`: the same code changes nothing, another parameter just what it is of."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import orjson
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from app.config import Settings
from app.embedded.bigquery import BigQuery
from app.embedded.postgres import Postgres
from app.model.keys import write_ts
from app.model.signal import BATCH_DECODER, Signal, SignalBatch
from app.processors.run import PROVIDER
from app.query.kafka import open_reader
from app.sources.simulator import CHAIN, simulate
from tests.support.blocks import message
from tests.support.commands import command
from tests.support.pipeline import View, running, view, with_stores
from tests.support.stores import BigQueryStore, Key, PostgresStore, SqliteStore, Stored

BLOCKS = 30
FEERATES = {f"mempool.feerate_p{share}" for share in (10, 25, 50, 75, 90)}
EVERYTHING = ("--from-height", "0")


async def recomputed(settings: Settings, *options: str) -> dict[str, Any]:
    """What the command says of `signals.raw`."""
    done = await command(settings, "replay", "--recompute", "--chain", CHAIN, "--json", *options)
    assert done.code == 0, done.err
    found: dict[str, Any] = orjson.loads(done.out)["targets"]["signals.raw"]
    return found


def with_params(settings: Settings, **params: dict[str, Any]) -> Settings:
    return settings.model_copy(update={"processor_params": params})


async def latest(pipe: View) -> dict[str, dict[Key, Stored]]:
    return {name: await store.latest(PROVIDER) for name, store in pipe.stores.items()}


async def test_only_what_another_parameter_changes_is_stored(
    settings: Settings, postgres: Postgres, bigquery: BigQuery
) -> None:
    settings, stores = await with_stores(
        settings, (SqliteStore(), PostgresStore(postgres), BigQueryStore(bigquery))
    )
    other = with_params(settings, mempool={"feerate_half": 40.0})
    with running(settings, stores) as pipeline:
        async with view(pipeline) as pipe:
            await pipe.kafka.send("blocks", map(message, simulate(BLOCKS, seed=5)))
            await pipe.at_rest()
            before = await latest(pipe)
            signals = len(before["sqlite"])
            raw = await pipe.kafka.count("signals.raw")

            assert (await recomputed(settings, *EVERYTHING))["total"] == {"unchanged": signals}
            dry = await recomputed(other, *EVERYTHING, "--dry-run")
            await is_refused_where_it_is_cold(settings)
            assert await pipe.kafka.count("signals.raw") == raw
            rebuilt = other.model_copy(update={"emit_from_height": BLOCKS - 4})
            found = await recomputed(rebuilt, *EVERYTHING, "--dry-run")
            assert found["total"]["updated"] == 5 * 4, "the blocks below only warm up"
            found = await recomputed(other, *EVERYTHING)
            assert dry == found
            assert {name for name, counts in found["names"].items() if "updated" in counts} == FEERATES
            assert found["total"] == {"updated": 5 * BLOCKS, "unchanged": signals - 5 * BLOCKS}
            await pipe.at_rest()
            for name, now in (await latest(pipe)).items():
                assert {key[3] for key, row in now.items() if row != before[name][key]} == FEERATES, name
            assert (await command(settings, "verify", "--drained")).code == 0
            assert (await recomputed(other, *EVERYTHING))["total"] == {"unchanged": signals}


async def is_refused_where_it_is_cold(settings: Settings) -> None:
    """With fewer blocks before them than they were computed with, signals stay as they are."""
    late = ("--from-height", "20", "--to", "24")
    found = await recomputed(settings, *late, "--warm-up", "5")
    assert set(found["total"]) == {"cold"}
    none = await command(settings, "replay", "--recompute", "--chain", CHAIN, *late, "--warm-up", "0")
    assert none.code == 1
    assert "no block of BTC-SIM below height 20" in none.err
    assert "--allow-cold" in none.err
    cold = await recomputed(settings, *late, "--warm-up", "0", "--allow-cold", "--dry-run")
    assert set(cold["total"]) == {"updated", "retracted"}


async def test_what_has_left_the_chain_stays_away(settings: Settings) -> None:
    settings, stores = await with_stores(settings, (SqliteStore(),))
    main = list(simulate(12, seed=21))
    fork = list(simulate(4, seed=21, start_height=7, fork=1))  # heights 7 to 10
    tiers = with_params(settings, whale={"tiers_btc": [50, 100, 500, 1000]})
    with running(settings, stores) as pipeline:
        async with view(pipeline) as pipe:
            await pipe.kafka.send("blocks", map(message, main[:9]))
            await pipe.at_rest()
            since = datetime.now(UTC)
            await pipe.kafka.send("blocks", map(message, fork))
            await pipe.at_rest()
            first = await shown(pipe)
            until = datetime.now(UTC)

            found = await recomputed(tiers, *EVERYTHING)
            assert set(found["total"]) == {"unchanged", "inserted"}
            assert found["total"]["inserted"] == 2 * 11
            await pipe.at_rest()
            added = await shown(pipe) - first
            assert {key[3] for key in added} == {"whale.count:50btc", "whale.sum_btc:50btc"}
            assert len(added) == 2 * 11
            await parts_are_replayed(pipe, since, until)

            await pipe.kafka.send("blocks", map(message, main[9:]))
            await pipe.at_rest()
            back = await shown(pipe)
            assert len({ts for _, _, ts, _ in back - added}) == 12
            left = {key for key in added & back if key[2] not in {ts for _, _, ts, _ in back - added}}
            assert len(left) == 2 * 4  # nobody has told the worker of them
            found = await recomputed(tiers, *EVERYTHING)
            assert found["total"]["retracted"] == len(left)
            await pipe.at_rest()
            now = await shown(pipe)
            assert len({ts for _, _, ts, _ in now}) == 12
            assert not left & now
            assert (await command(settings, "verify", "--drained")).code == 0
            await what_a_backfill_has_replaced_is_known(tiers)
            await after_retention(tiers, pipe)


async def parts_are_replayed(pipe: View, since: datetime, until: datetime) -> None:
    """Two heights of those that are there, and what came with the fork: nothing before, nothing behind."""
    records = [(r.timestamp_ms, BATCH_DECODER.decode(r.value or b"")) for r in await pipe.seen.of("signals")]
    signals = [(at, key_of(batch, signal), signal) for at, batch in records for signal in batch.signals]
    heights = {key for _, key, signal in signals if signal.block_height in (7, 8)}
    first, end = (int(when.timestamp() * 1000) for when in (since, until))
    times = {key for at, key, _ in signals if first <= at < end}
    assert len({ts for _, _, ts, _ in heights}) == 4, "of each height two blocks, one of which was lost"
    assert len({ts for _, _, ts, _ in times}) == 6, "of the fork's four blocks, and of the two that were lost"
    assert await replayed_to(pipe, "heights.db", "--from-height", "7", "--to", "8") == heights
    from_to = ("--from-time", write_ts(since), "--to", write_ts(until))
    assert await replayed_to(pipe, "times.db", *from_to) == times


async def replayed_to(pipe: View, file: str, *options: str) -> set[Key]:
    """Keys in a file that the replay makes."""
    path, store = pipe.settings.data_dir / file, SqliteStore()
    elsewhere = await store.settings(pipe.settings.model_copy(update={"sqlite_path": path}))
    done = await command(elsewhere, "replay", *options)
    assert done.code == 0, done.err
    return set(await store.rows())


def key_of(batch: SignalBatch, signal: Signal) -> Key:
    return batch.provider, batch.symbol, batch.ts, signal.name


async def what_a_backfill_has_replaced_is_known(settings: Settings) -> None:
    """It sends by other topics: the store alone has the newer version."""
    with closing(sqlite3.connect(settings.sqlite_file, isolation_level=None)) as file:
        select = (
            "SELECT signal_id, value, version, digest FROM signals WHERE name = ? AND retracted_at IS NULL"
        )
        signal_id, *content = file.execute(select, ("mempool.feerate_p50",)).fetchone()
        update = "UPDATE signals SET value = ?, version = ?, digest = ? WHERE signal_id = ?"
        file.execute(update, (-5.0, content[1] + 1_000_000, 1, signal_id))
        try:
            found = await recomputed(settings, *EVERYTHING, "--dry-run")
        finally:
            file.execute(update, (*content, signal_id))
    assert found["total"]["updated"] == 1
    assert [(one["old"], one["new"]) for one in found["examples"]] == [(-5.0, content[0])]


async def after_retention(settings: Settings, pipe: View) -> None:
    """What has left `signals` is known from a store."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.need_kafka())
    async with open_reader(settings) as reader:
        bounds = await reader.bounds(await reader.partitions(settings.topic("signals")))
    await admin.start()
    try:
        await admin.delete_records({tp: RecordsToDelete(end) for tp, (_, end) in bounds.items()})
    finally:
        await admin.close()
    raw = await pipe.kafka.count("signals.raw")
    assert set((await recomputed(settings, *EVERYTHING))["total"]) == {"unchanged"}
    assert await pipe.kafka.count("signals.raw") == raw
    settings.sqlite_file.rename(settings.sqlite_file.with_suffix(".away"))
    unknown = await command(settings, "replay", "--recompute", "--chain", CHAIN, *EVERYTHING)
    assert unknown.code == 1
    assert "no store is at hand" in unknown.err
    lost = await command(settings, "replay", "--from-offset", "0", "--sink", "sqlite")
    assert lost.code == 1
    assert "has left the topic (retention): `--from-offset earliest`" in lost.err


async def shown(pipe: View) -> set[Key]:
    """Keys of what counts."""
    found = await pipe.stores["sqlite"].latest(PROVIDER)
    return {key for key, row in found.items() if not row.retracted}
