"""The BigQuery sink on bqemulator: what it creates, writes, refuses and answers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from google.cloud import bigquery as gcp

from app.config import Settings
from app.embedded.bigquery import BigQuery
from app.errors import ConfigurationError, Fenced, Terminal
from app.model.keys import signal_id, write_ts
from app.model.receipt import Outcome
from app.model.signal import Signal, SignalBatch
from app.sinks.base import SinkRecord, Written
from app.sinks.bigquery import BigQueryConfig, BigQuerySink
from app.sinks.bigquery.schema import COLUMNS

TS = "2011-10-15T12:00:00.150013Z"
BAD_JSON = msgspec.Raw(b'{"a":"\\ud800"}')
"""An escape that is half a character: BigQuery's JSON type does not take it."""


def signal(name: str, **fields: Any) -> Signal:
    return Signal(name=name, **({"value": 1.5, "version": 1, "digest": 7} | fields))


def record(offset: int, *signals: Signal, partition: int = 0, ts: str = TS, **fields: Any) -> SinkRecord:
    batch = SignalBatch(**({"provider": "chain", "symbol": "BTC", "ts": ts, "signals": [*signals]} | fields))
    return SinkRecord(partition, offset, batch, size=100)


def outcomes(written: Sequence[Sequence[Written]]) -> list[list[Outcome]]:
    return [[one.outcome for one in of_record] for of_record in written]


def create_table(config: BigQueryConfig, **columns: str) -> None:
    """Somebody else's table in the sink's place."""
    with config.rest_client() as client:
        client.create_dataset(config.dataset)
        fields = [gcp.SchemaField(name, sql_type) for name, sql_type in columns.items()]
        client.create_table(gcp.Table(config.table_id, schema=fields))


@pytest.fixture
def config(bigquery: BigQuery, namespace: str) -> BigQueryConfig:
    """A dataset of the test's own."""
    settings = Settings(_env_file=None, namespace=namespace, bigquery_dataset=namespace)
    return BigQueryConfig.of(settings.model_copy(update=bigquery.settings()))


@pytest.fixture
async def sink(config: BigQueryConfig) -> AsyncIterator[BigQuerySink]:
    sink = BigQuerySink(config)
    await sink.open()
    yield sink
    await sink.close()


Query = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def query(config: BigQueryConfig) -> Query:
    """Runs SQL in which `{table}` and `{view}` are the sink's."""

    def run(sql: str) -> list[dict[str, Any]]:
        text = sql.format(table=f"`{config.table_id}`", view=f"`{config.view_id}`")
        with config.rest_client() as client:
            return [dict(row.items()) for row in client.query_and_wait(text)]

    return run


async def test_open_creates_dataset_table_and_view(sink: BigQuerySink, config: BigQueryConfig) -> None:
    await sink.open()
    await sink.health()
    with config.rest_client() as client:
        table = client.get_table(config.table_id)
        view = client.get_table(config.view_id)

    assert [field.name for field in table.schema] == [column.name for column in COLUMNS]
    assert table.time_partitioning.field == "inserted_at"
    assert table.clustering_fields == ["provider", "symbol", "ts", "name"]
    assert view.table_type == "VIEW"


async def test_a_table_that_is_there_already_gets_the_missing_columns(
    config: BigQueryConfig, query: Query
) -> None:
    create_table(config, signal_id="STRING", confidence="FLOAT64", own="STRING")
    sink = BigQuerySink(config)

    await sink.open()
    await sink.write([record(3, signal("fee"))])
    await sink.close()

    assert query("SELECT name, kafka_offset, own FROM {view}") == [
        {"name": "fee", "kafka_offset": 3, "own": None}
    ]


async def test_a_column_of_another_type_is_named(config: BigQueryConfig) -> None:
    create_table(config, version="STRING")
    sink = BigQuerySink(config)

    with pytest.raises(ConfigurationError, match=r"column version .* is STRING, not INT64"):
        await sink.open()
    await sink.close()


async def test_every_column_comes_back_as_it_was_sent(sink: BigQuerySink, query: Query) -> None:
    when = datetime(2026, 3, 1, 12, 0, 0, 1, UTC)
    full = signal(
        "fee",
        value=0.1,
        score=-1e300,
        signal_type="miner",
        block_height=866_342,
        block_hash="00ff",
        block_time=when,
        confidence=0.25,
        metadata=msgspec.Raw('{"größe":[1,null,"😀"]}'.encode()),
        version=2**63 - 1,
        digest=-(2**63),
        created_at=when,
        first_seen_at=when,
        retracted_at=when,
        canonical_key="btc/Ünïcode",
        outcome="hit",
        correlation_id="c-1",
    )

    await sink.write([record(5, full, partition=3)])

    [row] = query("SELECT * FROM {table}")
    assert abs((row.pop("inserted_at") - datetime.now(UTC)).total_seconds()) < 60
    assert row == {
        "signal_id": str(signal_id("chain", "BTC", TS, "fee")),
        "signal_type": "miner",
        "block_height": 866_342,
        "confidence": 0.25,
        "metadata": {"größe": [1, None, "😀"]},
        "created_at": when,
        "processed": False,
        "processed_at": None,
        "provider": "chain",
        "symbol": "BTC",
        "ts": datetime(2011, 10, 15, 12, 0, 0, 150_013, UTC),
        "name": "fee",
        "value": 0.1,
        "score": -1e300,
        "block_hash": "00ff",
        "block_time": when,
        "version": 2**63 - 1,
        "digest": -(2**63),
        "first_seen_at": when,
        "retracted_at": when,
        "canonical_key": "btc/Ünïcode",
        "outcome": "hit",
        "correlation_id": "c-1",
        "namespace": sink._config.namespace,
        "kafka_partition": 3,
        "kafka_offset": 5,
        "refused": None,
    }


async def test_what_is_not_sent_is_null(sink: BigQuerySink, query: Query) -> None:
    await sink.write([record(0, signal("fee"), correlation_id="of-the-batch")])

    [row] = query("SELECT * EXCEPT (inserted_at) FROM {view}")
    assert {name for name, value in row.items() if value is not None} == {
        "signal_id", "provider", "symbol", "ts", "name", "value", "version", "digest", "processed",
        "correlation_id", "namespace", "kafka_partition", "kafka_offset",
    }  # fmt: skip
    assert row["correlation_id"] == "of-the-batch"


async def test_a_write_that_is_repeated_stores_its_rows_once(sink: BigQuerySink, query: Query) -> None:
    records = [record(n, signal("a"), signal("b"), partition=n % 3, ts=f"2026-01-01T00:00:00.00000{n}Z")
               for n in range(9)]  # fmt: skip

    first = await sink.write(records)
    second = await sink.write(records)

    assert outcomes(first) == [[Outcome.INSERTED] * 2] * 9
    assert outcomes(second) == [[Outcome.UNCHANGED] * 2] * 9
    assert query("SELECT COUNT(*) AS n FROM {table}") == [{"n": 18}]


async def test_a_replay_at_other_offsets_adds_nothing(sink: BigQuerySink, query: Query) -> None:
    await sink.write([record(1, signal("a"), signal("b"))])

    again = await sink.write([record(2, signal("b"), signal("a")), record(3, signal("a"))])

    assert outcomes(again) == [[Outcome.UNCHANGED] * 2, [Outcome.UNCHANGED]]
    assert query("SELECT kafka_offset FROM {table}") == [{"kafka_offset": 1}] * 2


async def test_the_history_keeps_every_version_and_the_view_shows_the_latest(
    sink: BigQuerySink, query: Query
) -> None:
    gone = datetime(2026, 1, 1, tzinfo=UTC)
    written = await sink.write(
        [
            record(1, signal("fee", version=10, digest=1, value=1)),
            record(2, signal("fee", version=30, digest=3, value=3)),
            record(3, signal("fee", version=20, digest=2, value=2)),
        ]
    )
    written += await sink.write([record(4, signal("fee", version=30, digest=4, value=4))])
    written += await sink.write([record(5, signal("fee", version=50, digest=4, value=4))])
    written += await sink.write([record(6, signal("fee", version=40, digest=5, value=5))])
    written += await sink.write([record(7, signal("old", retracted_at=gone))])
    shown = query("SELECT version FROM {view} WHERE name = 'fee'")
    written += await sink.write([record(8, signal("fee", version=60, digest=6, retracted_at=gone))])

    assert [of_record[0].outcome for of_record in written] == [
        Outcome.INSERTED,
        Outcome.UPDATED,
        Outcome.UNCHANGED,
        Outcome.UPDATED,
        Outcome.UNCHANGED,
        Outcome.UNCHANGED,
        Outcome.RETRACTED,
        Outcome.RETRACTED,
    ]
    history = query("SELECT kafka_offset AS o FROM {table} ORDER BY o")
    assert [row["o"] for row in history] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert shown == [{"version": 50}]
    assert query("SELECT name FROM {view}") == []


@pytest.mark.parametrize("others", [0, 1, 6])
async def test_a_row_that_the_service_refuses_becomes_a_stub(
    others: int, sink: BigQuerySink, query: Query
) -> None:
    good = [signal(f"good-{n}") for n in range(others)]
    records = [record(1, *good, signal("bad", metadata=BAD_JSON), signal("end"))]

    [first] = await sink.write(records)
    [second] = await sink.write(records)

    stored = Outcome.INSERTED
    assert outcomes([first]) == [[stored] * others + [Outcome.REJECTED, stored]]
    assert "surrogate" in str(first[others].reason)
    assert second[others] == first[others]
    [stub] = query("SELECT name, metadata, value, refused FROM {table} WHERE refused IS NOT NULL")
    assert stub == {"name": "bad", "metadata": None, "value": None, "refused": first[others].reason}
    assert query("SELECT COUNT(*) AS n FROM {table}") == [{"n": others + 2}]
    assert query("SELECT COUNT(*) AS n FROM {view}") == [{"n": others + 1}]


async def test_a_refused_signal_is_stored_once_its_producer_has_mended_it(
    sink: BigQuerySink, query: Query
) -> None:
    await sink.write([record(1, signal("fee", metadata=BAD_JSON))])

    mended = await sink.write([record(2, signal("fee", version=2, digest=8))])

    assert outcomes(mended) == [[Outcome.INSERTED]]
    assert query("SELECT version FROM {view}") == [{"version": 2}]


async def test_more_than_one_append_takes_goes_in_several(sink: BigQuerySink, query: Query) -> None:
    text = msgspec.Raw(b'{"x":"%s"}' % (b"y" * 60_000))
    records = [record(n, *(signal(f"s{n}-{i}", metadata=text) for i in range(50))) for n in range(4)]

    written = await sink.write(records)

    assert outcomes(written) == [[Outcome.INSERTED] * 50] * 4
    assert query("SELECT COUNT(*) AS n FROM {view}") == [{"n": 200}]


async def test_many_partitions_are_written_side_by_side(sink: BigQuerySink, query: Query) -> None:
    records = [record(1, signal("a"), partition=p, symbol=f"S{p}") for p in range(32)]

    async with asyncio.timeout(30):
        await sink.write(records)

    assert query("SELECT COUNT(DISTINCT kafka_partition) AS n FROM {table}") == [{"n": 32}]


async def test_a_released_partition_is_not_written_to(sink: BigQuerySink, query: Query) -> None:
    await sink.write([record(1, signal("a"))])
    await sink.release([0])

    with pytest.raises(Fenced, match="partition 0 was released"):
        await sink.write([record(2, signal("b"))])
    assert query("SELECT name FROM {table}") == [{"name": "a"}]


async def test_a_dataset_that_can_not_be_is_refused_with_a_remedy(config: BigQueryConfig) -> None:
    sink = BigQuerySink(
        BigQueryConfig(project=config.project, dataset="not a name", rest=config.rest, grpc=config.grpc)
    )

    with pytest.raises(Terminal, match="SIGSTREAM_BIGQUERY_DATASET"):
        await sink.open()
    await sink.close()


async def test_missing_credentials_are_told_from_a_server_that_is_down(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing.json"))
    sink = BigQuerySink(BigQueryConfig(project="somebody"))

    with pytest.raises(ConfigurationError, match="gcloud auth application-default login"):
        await sink.open()


async def test_times_of_any_year_are_kept(sink: BigQuerySink, query: Query) -> None:
    times = [write_ts(datetime(year, 1, 1, tzinfo=UTC)) for year in (1, 1969, 2262, 9999)]

    await sink.write([record(n, signal("a"), ts=ts) for n, ts in enumerate(times)])

    found = query("SELECT EXTRACT(YEAR FROM ts) AS y FROM {view} ORDER BY y")
    assert [row["y"] for row in found] == [1, 1969, 2262, 9999]
