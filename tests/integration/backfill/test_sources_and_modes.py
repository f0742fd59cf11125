"""The whole command from each kind of source (nodes are doubles, over real HTTP), and what it replaces."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from app.config import Settings
from app.embedded.bigquery import BigQuery
from app.embedded.postgres import Postgres
from app.sources.simulator import CHAIN, simulate
from tests.support.core_double import CoreDouble
from tests.support.esplora_double import EsploraDouble
from tests.support.etl_export import write_export
from tests.support.history import PROVIDER, WITHIN_S, Content, computed, stored
from tests.support.pipeline import Stores, with_stores
from tests.support.processes import sigstream
from tests.support.stores import BigQueryStore, Key, PostgresStore, SqliteStore

Part = Callable[[dict[Key, Content]], dict[Key, Content]]
BLOCKS = list(simulate(12, seed=1))
FIRST = 2
"""Of the range; the blocks below it are its warm-up."""

OF_AGES = "whale.coin_days_destroyed"
"""An export of Bitcoin ETL does not tell how old coins are."""


async def backfill(settings: Settings, suffix: str, source: str, *more: str) -> None:
    """Blocks `FIRST` to the last, to their end."""
    heights = ("--from", str(FIRST), "--to", str(len(BLOCKS) - 1), "--chain", CHAIN)
    options = ("--namespace", f"{settings.namespace}{suffix}", "--source", source, "--niceness", "0")
    said = await asyncio.to_thread(
        sigstream, settings, "backfill", *heights, *options, *more, within_s=WITHIN_S
    )
    assert f"{len(BLOCKS) - FIRST} of {len(BLOCKS) - FIRST} blocks" in said


def expected_of(settings: Settings) -> dict[Key, Content]:
    """Signals of the range, as one pipeline that began with the first block computes them."""
    warm_up = computed(settings, BLOCKS[:FIRST])
    return {key: content for key, content in computed(settings, BLOCKS).items() if key not in warm_up}


def without_ages(found: dict[Key, Content]) -> dict[Key, Content]:
    return {key: content for key, content in found.items() if key[3] != OF_AGES}


async def check(stores: Stores, expected: dict[Key, Content], part: Part = dict) -> None:
    """This is what readers see, and no version is there twice."""
    for name, store in stores.items():
        assert part(await stored(store)) == part(expected), name
        assert set((await store.versions(PROVIDER)).values()) == {1}, name


async def test_each_source_fills_the_stores_and_only_replace_replaces(
    settings: Settings, postgres: Postgres, bigquery: BigQuery, tmp_path: Path
) -> None:
    settings, stores = await with_stores(
        settings, (SqliteStore(), PostgresStore(postgres), BigQueryStore(bigquery))
    )
    first = expected_of(settings)
    other = settings.model_copy(update={"processor_params": {"mempool": {"feerate_half": 40.0}}})
    second = expected_of(other)
    assert 0 < sum(first[key] != second[key] for key in first) < len(first)
    with CoreDouble(BLOCKS) as core, EsploraDouble(BLOCKS) as esplora:
        await backfill(core.settings(settings), "core", "core")
        await check(stores, first)
        await backfill(other, "kept", f"esplora:{esplora.url}")
        await check(stores, first)
        assert core.times("getblock")
        assert esplora.times(f"/block-height/{len(BLOCKS) - 1}")
    export = ",".join(map(str, write_export(tmp_path, BLOCKS)))
    await backfill(other, "new", f"etl:{export}", "--replace")
    await check(stores, second, without_ages)
