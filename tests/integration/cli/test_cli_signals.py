"""`sigstream signals`: what the sinks have written, read back from each real store."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.config import Settings
from app.embedded.bigquery import BigQuery
from app.model.signal import Signal, SignalBatch
from app.query.stores import open_store
from app.sinks.base import Sink, SinkRecord
from app.sinks.bigquery import BigQueryConfig, BigQuerySink
from app.sinks.sqlite import SqliteConfig, SqliteSink
from app.sinks.timescale import TimescaleConfig, TimescaleSink
from tests.support.cli import Cli

SINKS: dict[str, Callable[[Settings], Sink]] = {
    "bigquery": lambda settings: BigQuerySink(BigQueryConfig.of(settings)),
    "sqlite": lambda settings: SqliteSink(SqliteConfig.of(settings)),
    "timescale": lambda settings: TimescaleSink(TimescaleConfig.of(settings)),
}


def record(offset: int, provider: str, symbol: str, second: int, version: int, *names: str) -> SinkRecord:
    """A record of `signals`; the value tells the version."""
    ts = f"2024-01-01T00:00:{second:02}.000000Z"
    signals = [Signal(name=name, value=float(version), version=version, digest=version) for name in names]
    batch = SignalBatch(provider=provider, symbol=symbol, ts=ts, signals=signals)
    return SinkRecord(0, offset, batch, 100)


CONFIDENCES = {"none": None, "low": 0.699, "medium": 0.7, "high": 0.85}


def confident(offset: int, provider: str) -> SinkRecord:
    """A record whose signals are named after the bucket of their confidence."""
    found = record(offset, provider, "AAA", 5, 1, *CONFIDENCES)
    for signal in found.batch.signals:
        signal.confidence = CONFIDENCES[signal.name]
    return found


RECORDS = [
    record(0, "p", "AAA", 1, 1, "x", "y"),
    record(1, "p", "AAA", 2, 1, "x"),
    record(2, "q", "AAA", 3, 1, "x"),
    record(3, "q", "BBB", 4, 1, "z"),
    record(4, "p", "AAA", 1, 2, "x"),  # a newer version of the first
]


@pytest.fixture
def stores(tmp_path: Path, namespace: str, database: str, bigquery: BigQuery) -> Settings:
    """All three stores, with the records in them."""
    local = Settings(
        _env_file=None,
        data_dir=tmp_path,
        timescale_dsn=database,
        bigquery_dataset=namespace,
        namespace=namespace,
    )
    settings = local.model_copy(update=bigquery.settings())
    asyncio.run(write(settings, RECORDS))
    return settings


async def write(settings: Settings, records: list[SinkRecord]) -> None:
    """By the product's sinks."""
    for build in SINKS.values():
        sink = build(settings)
        await sink.open()
        await sink.acquire(0, 0, None, save)
        await sink.write(records)
        await sink.close()


async def save(_state: str) -> None:
    """Beside no offset."""


@pytest.mark.parametrize("store", sorted(SINKS))
def test_every_store_shows_the_same_signals(cli: Cli, stores: Settings, store: str) -> None:
    cli.use(stores)

    def rows(*arguments: str) -> list[tuple[str, str, str, str, float]]:
        found: Any = cli.json("signals", "--store", store, *arguments)
        return [(row["provider"], row["symbol"], row["ts"][17:], row["name"], row["value"]) for row in found]

    everything = [
        ("q", "BBB", "04.000000Z", "z", 1.0),
        ("q", "AAA", "03.000000Z", "x", 1.0),
        ("p", "AAA", "02.000000Z", "x", 1.0),
        ("p", "AAA", "01.000000Z", "x", 2.0),
        ("p", "AAA", "01.000000Z", "y", 1.0),
    ]
    assert rows() == everything
    assert rows("--limit", "2") == everything[:2]
    assert rows("--symbol", "aaa") == everything[1:]
    assert rows("--provider", "p", "--name", "x") == [everything[2], everything[3]]
    assert rows("--symbol", "AAA", "--provider", "q", "--name", "x") == [everything[1]]
    assert rows("--name", "nothing") == []
    assert "--name must be as it is stored" in cli("signals", "--store", store, "--name", "nothing").stderr
    assert asyncio.run(open_store(stores, store).count()) == 5
    shown = cli("signals", "--store", store).stdout
    assert f"{store}: 5 signals" in shown
    assert "2024-01-01T00:00:04.000000Z" in shown


@pytest.mark.parametrize("store", sorted(SINKS))
def test_confidence_is_shown_with_its_bucket(cli: Cli, stores: Settings, store: str) -> None:
    asyncio.run(write(stores, [confident(5, "sure")]))
    cli.use(stores)
    found: Any = cli.json("signals", "--store", store, "--provider", "sure")
    assert {row["name"]: row["confidence"] for row in found} == CONFIDENCES
    assert all((row["bucket"] or "none") == row["name"] for row in found)
    for width, seen in ((80, False), (120, True), (160, True)):
        cli.environment["COLUMNS"] = str(width)
        shown = cli("signals", "--store", store, "--provider", "sure").stdout
        texts = [f"{value:g} {name} " for name, value in CONFIDENCES.items() if value is not None]
        assert [text in shown for text in texts] == [seen] * 3
        assert "None" not in shown
        assert "…" not in shown


def test_the_default_is_the_first_required_sink_that_is_configured(stores: Settings) -> None:
    assert open_store(stores).name == "bigquery"
    assert open_store(stores.model_copy(update={"sinks": ("timescale",)})).name == "timescale"
    local = stores.model_copy(update={"bigquery_project": None, "timescale_dsn": None})
    assert open_store(local).name == "sqlite"
