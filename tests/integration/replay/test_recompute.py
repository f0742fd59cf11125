"""`sigstream replay --recompute`: the same code changes nothing, another parameter just what it is of."""

from typing import Any

import orjson

from app.config import Settings
from app.embedded.bigquery import BigQuery
from app.embedded.postgres import Postgres
from app.processors.run import PROVIDER
from app.sources.simulator import CHAIN, simulate
from tests.support.blocks import message
from tests.support.commands import command
from tests.support.pipeline import running, view, with_stores
from tests.support.stores import BigQueryStore, PostgresStore, SqliteStore

BLOCKS = 40


async def recomputed(settings: Settings, *options: str) -> dict[str, Any]:
    """What the command says of `signals.raw`."""
    done = await command(settings, "replay", "--recompute", "--chain", CHAIN, "--json", *options)
    assert done.code == 0, done.err
    found: dict[str, Any] = orjson.loads(done.out)["targets"]["signals.raw"]
    return found


async def test_only_what_another_parameter_changes_is_stored(
    settings: Settings, postgres: Postgres, bigquery: BigQuery
) -> None:
    settings, stores = await with_stores(
        settings, (SqliteStore(), PostgresStore(postgres), BigQueryStore(bigquery))
    )
    everything = ("--from-height", "0")
    with running(settings, stores) as pipeline:
        async with view(pipeline) as pipe:
            await pipe.kafka.send("blocks", map(message, simulate(BLOCKS, seed=5)))
            await pipe.at_rest()
            before = {name: await store.latest(PROVIDER) for name, store in stores.items()}
            signals = len(await stores["sqlite"].latest(PROVIDER))
            raw = await pipe.kafka.count("signals.raw")

            assert (await recomputed(settings, *everything))["total"] == {"unchanged": signals}
            assert await pipe.kafka.count("signals.raw") == raw

            other = settings.model_copy(update={"processor_params": {"mempool": {"feerate_half": 40.0}}})
            dry = await recomputed(other, *everything, "--dry-run")
            assert await pipe.kafka.count("signals.raw") == raw
            found = await recomputed(other, *everything)
            assert dry == found
            changed = {name for name, counts in found["names"].items() if "updated" in counts}
            assert changed == {f"mempool.feerate_p{share}" for share in (10, 25, 50, 75, 90)}
            assert found["total"] == {"updated": 5 * BLOCKS, "unchanged": signals - 5 * BLOCKS}
            await pipe.at_rest()
            for name, store in stores.items():
                latest, was = await store.latest(PROVIDER), before[name]
                assert {key[3] for key, row in latest.items() if row != was[key]} == changed, name
            assert (await command(settings, "verify", "--drained")).code == 0
            assert (await recomputed(other, *everything))["total"] == {"unchanged": signals}
