"""The contract of all sinks, kept by the BigQuery sink on bqemulator."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

import orjson
import pytest

from app.config import Settings
from app.embedded.bigquery import BigQuery
from app.model.keys import write_ts
from app.sinks.base import Sink
from app.sinks.bigquery import BigQueryConfig, BigQuerySink
from app.sinks.bigquery.schema import versions_sql
from app.sinks.contract import Key, Latest, SinkContract


class TestBigQuerySink(SinkContract):
    @pytest.fixture
    def config(self, bigquery: BigQuery, namespace: str) -> BigQueryConfig:
        settings = Settings(_env_file=None, namespace=namespace, bigquery_dataset=namespace)
        return BigQueryConfig.of(settings.model_copy(update=bigquery.settings()))

    @pytest.fixture
    async def sink(self, config: BigQueryConfig) -> AsyncIterator[Sink]:
        sink = BigQuerySink(config)
        await sink.open()
        yield sink
        await sink.close()

    async def latest(self, sink: Sink, keys: Sequence[Key]) -> dict[Key, Latest]:
        assert isinstance(sink, BigQuerySink)
        config = sink._config
        with config.rest_client() as client:
            found = client.query_and_wait(versions_sql(config.table_id))
            shown = {_key(row): _latest(row) for row in (dict(row.items()) for row in found)}
        return {key: shown[key] for key in keys if key in shown}

    async def shown(self, sink: Sink, keys: Sequence[Key]) -> set[Key]:
        """See SinkContract."""
        assert isinstance(sink, BigQuerySink)
        config = sink._config
        with config.rest_client() as client:
            found = client.query_and_wait(f"SELECT * FROM `{config.view_id}`")
            return {_key(dict(row.items())) for row in found} & set(keys)


def _key(row: dict[str, object]) -> Key:
    assert isinstance(row["ts"], datetime)
    return Key(str(row["provider"]), str(row["symbol"]), write_ts(row["ts"]), str(row["name"]))


def _latest(row: dict[str, object]) -> Latest:
    metadata = row["metadata"]
    shown = {
        "metadata": orjson.loads(metadata) if isinstance(metadata, str) else metadata,
        "retracted": row["retracted_at"] is not None,
    }
    return Latest(**shown, **{name: row[name] for name in Latest._fields if name not in shown})  # type: ignore[arg-type]
