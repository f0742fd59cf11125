"""What is fetched of a store that holds far more than is compared, and in how many rows at once."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.config import Settings
from app.dedupe import digest_of
from app.embedded.bigquery import BigQuery
from app.model.keys import batch_key
from app.query.signals import Row, ts_of
from app.query.stores import open_store
from app.sinks.base import Sink, SinkRecord
from app.sinks.bigquery import BigQueryConfig, BigQuerySink
from app.sinks.sqlite import SqliteConfig, SqliteSink
from app.sinks.timescale import TimescaleConfig, TimescaleSink
from app.verify.scratch import Scratch, scratch
from app.verify.stores import BEGIN, END, read_stores, slices
from tests.support import signals
from tests.support.signals import PROVIDER, batch_of

SINKS: dict[str, Callable[[Settings], Sink]] = {
    "bigquery": lambda settings: BigQuerySink(BigQueryConfig.of(settings)),
    "sqlite": lambda settings: SqliteSink(SqliteConfig.of(settings)),
    "timescale": lambda settings: TimescaleSink(TimescaleConfig.of(settings)),
}
STORED = 300
WANTED = (10, 150, 151, 299)
"""Numbers of the batches that were read: the first and the last are far from each other."""
NAMES = 3
AGAIN = 5
"""Batches that were stored twice, in another version."""
PAGED, PAGE = 20, 7
"""Batches that are fetched in pages, and rows of a page."""
Identity = tuple[str, str, int | None]
"""`ts`, name, version."""


class Counting(Scratch):
    """Knows how many rows were fetched."""

    def __init__(self, held: Scratch) -> None:
        self._connection = held._connection
        self.fetched: Counter[str] = Counter()

    def add(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        found = list(rows)
        self.fetched[table] += len(found)
        super().add(table, found)


@pytest.fixture(params=sorted(SINKS))
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, namespace: str, database: str, bigquery: BigQuery
) -> Settings:
    """One of the stores, with signals in it, some of them in two versions."""
    update = {"timescale_dsn": database, "bigquery_dataset": namespace, "sinks": (request.param,)}
    base = Settings(_env_file=None, data_dir=tmp_path, namespace=namespace)
    settings = base.model_copy(update={**update, **bigquery.settings()})
    sink = SINKS[request.param](settings)
    await sink.open()
    await sink.acquire(0, 0, None, save)
    for version, numbers in ((1, range(STORED)), (2, range(AGAIN))):
        await sink.write([record(version * STORED + number, number, version) for number in numbers])
    await sink.close()
    return settings


def record(offset: int, number: int, version: int) -> SinkRecord:
    batch = batch_of(number, NAMES, value=float(version), version=version)
    for signal in batch.signals:
        signal.digest = digest_of(signal)
    return SinkRecord(0, offset, batch, 100)


async def save(_state: str) -> None:
    """Beside no offset."""


def unversioned(settings: Settings) -> None:
    """Rows of BigQuery from before there were versions, and one that is there twice."""
    config = BigQueryConfig.of(settings)
    ts = signals.ts_of(0)
    rows = ", ".join(f"('{PROVIDER}', 'TEST', TIMESTAMP('{ts}'), 'n{n % 9}')" for n in range(10))
    with closing(config.rest_client()) as client:
        client.query_and_wait(f"INSERT INTO `{config.table_id}` (provider, symbol, ts, name) VALUES {rows}")


async def test_pages_hold_every_row_once(store: Settings) -> None:
    (sink,) = store.required_sinks
    source, expected = open_store(store, sink), versions_in(sink)
    if sink == "bigquery":
        unversioned(store)
        expected |= {(signals.ts_of(0), f"n{n}", None): 2 if n == 0 else 1 for n in range(9)}
    end = signals.ts_of(PAGED)
    pages = [rows async for rows in source.versions(PROVIDER, "TEST", BEGIN, end, page=PAGE)]
    assert {len(rows) for rows in pages[:-1]} == {PAGE}
    found = [(identity(row), row["copies"]) for rows in pages for row in rows]
    assert len(found) == len(expected)
    assert dict(found) == expected
    assert [rows async for rows in source.versions(PROVIDER, "NONE", BEGIN, END, page=PAGE)] == []


def versions_in(sink: str) -> dict[Identity, int]:
    """Rows that the store has of each version of the first; BigQuery keeps them all."""
    last = {(number, name): 2 if number < AGAIN else 1 for number in range(PAGED) for name in range(NAMES)}
    kept = {key: (version, 1) if sink == "bigquery" else (version,) for key, version in last.items()}
    return {(signals.ts_of(n), f"n{name}", v): 1 for (n, name), versions in kept.items() for v in versions}


def identity(row: Row) -> Identity:
    return ts_of(row), row["name"], row["version"]


@pytest.mark.parametrize("complete", [False, True])
async def test_a_range_fetches_its_keys_alone(store: Settings, complete: bool) -> None:
    with scratch() as held:
        counting = Counting(held)
        keys = [batch_key(PROVIDER, "TEST", signals.ts_of(number)).decode() for number in WANTED]
        counting.add("forward", [(0, 0, 0, key, f"n{n}", 1, 1) for key in keys for n in range(NAMES)])
        counting.run("index")
        steps: list[int] = []
        await read_stores(
            store, counting, slices(counting, complete=complete), steps.append, complete=complete
        )
    assert steps == [1]
    versions = STORED + (AGAIN if store.required_sinks == ("bigquery",) else 0)
    assert counting.fetched["stored"] == NAMES * (versions if complete else len(WANTED))
