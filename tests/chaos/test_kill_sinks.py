"""kill -9 of a sink in mid-stream, then a restart: every signal once in its store, with a receipt."""

from collections import Counter

import pytest

from app.config import Settings
from app.embedded.bigquery import BigQuery
from app.embedded.postgres import Postgres
from app.model.receipt import RECEIPT_DECODER
from tests.support.probe import Probe, probe, until
from tests.support.processes import Worker, worker
from tests.support.signals import PROVIDER, forwarded, ts_of
from tests.support.stores import BigQueryStore, Key, PostgresStore, SqliteStore, Store

RECORDS = 1000
NAMES = 5


@pytest.fixture(params=["sqlite", "timescale", "bigquery"])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "timescale":
        server: Postgres = request.getfixturevalue("postgres")
        return PostgresStore(server)
    if request.param == "bigquery":
        emulator: BigQuery = request.getfixturevalue("bigquery")
        return BigQueryStore(emulator)
    return SqliteStore()


async def test_killed_in_mid_stream(settings: Settings, store: Store) -> None:
    settings = await store.settings(settings.model_copy(update={"sink_batch_signals": 100}))
    messages = forwarded(RECORDS, store.sink, settings.signal_partitions, NAMES)
    total = RECORDS * NAMES
    async with probe(settings) as found:
        await found.send("signals", messages)
        with worker(settings, "sink", store.sink) as first:
            await until(
                lambda: stored(store, first, total // 5), "a fifth of the rows", log=lambda: first.log
            )
            assert first.kill() == -9
        assert sum((await store.rows()).values()) < total * 4 // 5
        assert await found.lag(f"sink.{store.sink}", "signals") > 0
        with worker(settings, "sink", store.sink, tag="-2") as second:
            await until(lambda: stored(store, second, total), "all rows", log=lambda: second.log)
            await until(lambda: is_through(found, store), "no lag", log=lambda: second.log)
            assert second.stop() == 0
        answered = await found.read("signals.persisted")
    rows = await store.rows()
    assert set(rows) == keys_of(RECORDS), "lost"
    assert {key: count for key, count in rows.items() if count > 1} == {}, "doubled"
    origins = {RECEIPT_DECODER.decode(record.value or b"").origin for record in answered}
    offsets = Counter(message[2] for message in messages)
    assert {(o.partition, o.offset) for o in origins} == {
        (p, o) for p, n in offsets.items() for o in range(n)
    }


async def stored(store: Store, running: Worker, rows: int) -> bool:
    assert running.returncode is None, running.log
    return sum((await store.rows()).values()) >= rows


async def is_through(found: Probe, store: Store) -> bool:
    return await found.lag(f"sink.{store.sink}", "signals") == 0


def keys_of(records: int) -> set[Key]:
    return {(PROVIDER, "TEST", ts_of(number), f"n{i}") for number in range(records) for i in range(NAMES)}
