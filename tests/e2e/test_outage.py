"""One store away for a while, under load: the others go on, it catches up by itself, and nothing differs."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from app.config import Settings
from app.embedded.bigquery import BigQuery
from app.embedded.postgres import Postgres
from app.streaming.topics import ensure_topics, pipeline_topics
from app.verify.run import verify
from app.verify.span import Asked
from tests.support.pipeline import View, running, view, with_stores
from tests.support.signals import PROVIDER, batch_of, raw, ts_of
from tests.support.stores import BigQueryStore, Key, PostgresStore, SqliteStore

DOWN_S = 20.0
"""How long PostgreSQL is away."""
SAMPLES = 5
"""Looks at the other stores meanwhile; each must see more rows than the one before."""
BATCHES_A_SECOND = 40
NAMES = 5
CATCH_UP_S = 60.0


class Load:
    """A producer of numbered batches; all acknowledged once it has stopped."""

    def __init__(self, pipe: View) -> None:
        self._pipe = pipe
        self._stop = asyncio.Event()
        self.batches = 0

    def stop(self) -> None:
        self._stop.set()

    async def run(self) -> None:
        """A few batches every tenth of a second, late or not."""
        n = self._pipe.settings.signal_partitions
        while not self._stop.is_set():
            numbers = range(self.batches, self.batches + BATCHES_A_SECOND // 10)
            await self._pipe.kafka.send("signals.raw", [raw(batch_of(i, NAMES), n) for i in numbers])
            self.batches = numbers.stop
            await asyncio.sleep(0.1)

    def keys(self) -> Counter[Key]:
        """What must be stored, each once."""
        return Counter(
            (PROVIDER, "TEST", ts_of(i), f"n{name}") for i in range(self.batches) for name in range(NAMES)
        )


@asynccontextmanager
async def load(pipe: View) -> AsyncIterator[Load]:
    """Running until its `stop`, or the end of the block."""
    made = Load(pipe)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(made.run())
        try:
            yield made
        finally:
            made.stop()


@asynccontextmanager
async def pipeline_on(settings: Settings, server: Postgres, bigquery: BigQuery) -> AsyncIterator[View]:
    """Dedupe, receipts and three sinks in front of a PostgreSQL of the test's own."""
    base = settings.model_copy(update={"sink_retry_cap_s": 4.0})
    base, stores = await with_stores(base, (SqliteStore(), PostgresStore(server), BigQueryStore(bigquery)))
    await ensure_topics(base, pipeline_topics(base))
    with running(base, stores, ("dedupe", "receipts")) as started:
        async with view(started) as pipe:
            yield pipe


async def test_postgresql_away_under_load(settings: Settings, servers_dir: Path, bigquery: BigQuery) -> None:
    with Postgres(servers_dir / "postgres-away") as server:
        async with pipeline_on(settings, server, bigquery) as pipe:
            async with load(pipe) as sent:
                await pipe.until(lambda: all_have_rows(pipe), "rows in every store")
                address = server.dsn
                server.stop()
                before = sent.batches
                await others_go_on(pipe)
                assert sent.batches - before > DOWN_S * BATCHES_A_SECOND / 4, (
                    "too little load to show anything"
                )
                assert await pipe.kafka.lag("sink.timescale", "signals") > 0
                server.start()
                assert server.dsn == address
                back = await count(pipe, "timescale")
                await pipe.until(lambda: more_than(pipe, back), "PostgreSQL's rows grow again", CATCH_UP_S)
            await pipe.at_rest(CATCH_UP_S)
            await all_is_there(pipe, sent)
            await nothing_differs(pipe, sent)


async def all_have_rows(pipe: View) -> bool:
    return all([await count(pipe, sink) for sink in pipe.stores])


async def others_go_on(pipe: View) -> None:
    """For as long as PostgreSQL is away."""
    rows = {sink: await count(pipe, sink) for sink in ("sqlite", "bigquery")}
    for _ in range(SAMPLES):
        await asyncio.sleep(DOWN_S / SAMPLES)
        pipe.pipeline.check_alive()
        for sink, earlier in rows.items():
            rows[sink] = await count(pipe, sink)
            assert rows[sink] > earlier, f"{sink} stands still"


async def count(pipe: View, sink: str) -> int:
    return await pipe.stores[sink].count(PROVIDER)


async def more_than(pipe: View, rows: int) -> bool:
    return await count(pipe, "timescale") > rows


async def all_is_there(pipe: View, sent: Load) -> None:
    """Every signal once in every store, and settled."""
    expected = sent.keys()
    for sink, store in pipe.stores.items():
        found = Counter(key for key, _ in (await store.versions(PROVIDER)).elements())
        assert found == expected, f"{sink}: {len(expected - found)} lost, {len(found - expected)} doubled"
    settled = Counter(record.key for record in await pipe.seen.of("signals.settled"))
    assert settled == Counter(f"{PROVIDER}|TEST|{ts_of(i)}".encode() for i in range(sent.batches))


async def nothing_differs(pipe: View, sent: Load) -> None:
    """From the first record that came in to the last receipt."""
    verdict = await verify(pipe.settings, Asked(), lambda _what, _total: lambda _done: None)
    assert verdict.complete
    assert verdict.findings == []
    assert verdict.signals == sent.batches * NAMES
