"""The REST API: dataset, table and view made on demand, and the look at what is there already."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import structlog
from google.api_core.exceptions import NotFound
from google.cloud import bigquery

from app.errors import ConfigurationError, Transient
from app.sinks.bigquery import schema
from app.sinks.bigquery.config import BigQueryConfig
from app.sinks.bigquery.errors import translate
from app.sinks.bigquery.history import History
from app.sinks.rows import Row

log = structlog.get_logger()

T = TypeVar("T")

# Provider, symbol and ts are the table's clustering columns: they let the service skip most of it.
# The last line always comes: bqemulator 1.4.0 answers a query that failed with no rows and HTTP 200,
# which must not be taken for "nothing is there".
_LOOK = """
WITH found AS (
  SELECT signal_id, version, digest, refused, ROW_NUMBER() OVER (
    PARTITION BY signal_id ORDER BY refused IS NOT NULL, version DESC, digest DESC) = 1 AS latest
  FROM `{table}`
  WHERE provider BETWEEN @provider_first AND @provider_last
    AND symbol BETWEEN @symbol_first AND @symbol_last AND ts BETWEEN @ts_first AND @ts_last
    AND signal_id IN UNNEST(SPLIT(@ids, ','))
)
SELECT signal_id, version, digest, refused FROM found
WHERE latest OR CONCAT(signal_id, ' ', version, ' ', digest) IN UNNEST(SPLIT(@identities, ','))
UNION ALL SELECT '', 0, 0, NULL
"""


class Tables:
    """Blocking client, called in threads, each call with a timeout. Raises Transient and Terminal."""

    def __init__(self, config: BigQueryConfig) -> None:
        self._config = config
        self._client: bigquery.Client | None = None
        self._once: dict[str, Any] = {"retry": None, "timeout": config.timeout_s}

    async def open(self) -> None:
        """Connect, and create what is missing: dataset, table, columns, view."""
        where = self._config.table_id
        if self._client is None:
            self._client = await self._call("find credentials", self._config.rest_client)
        await self._call(
            f"create dataset {self._config.project}.{self._config.dataset}", self._ensure_dataset
        )
        await self._call(f"create table {where}", self._ensure_table)
        await self._call(f"create view {self._config.view_id}", self._ensure_view)

    async def health(self) -> None:
        """Asks for the table. Raises Transient without an answer."""
        await self._call(f"read table {self._config.table_id}", self._get, self._config.table_id)

    async def look(self, rows: Sequence[Row]) -> History:
        """What the table holds of the rows' signals; one query."""
        history = History()
        if not rows:
            return history
        answer = await self._call(f"query {self._config.table_id}", self._look, _parameters(rows))
        if not any(signal_id == "" for signal_id, *_ in answer):
            raise Transient(
                f"BigQuery's answer about {self._config.table_id} is not complete: it will be asked again"
            )
        for signal_id, version, digest, refused in answer:
            if signal_id:
                history.add(signal_id, (version, digest), refused)
        return history

    async def close(self) -> None:
        """Close the client's session."""
        if self._client is not None:
            client, self._client = self._client, None
            await asyncio.to_thread(client.close)

    async def _call(self, doing: str, call: Callable[..., T], *args: object) -> T:
        try:
            return await asyncio.to_thread(call, *args)
        except Exception as error:
            raise translate(error, doing) from error

    @property
    def _rest(self) -> bigquery.Client:
        if self._client is None:
            raise Transient("BigQuery: not connected yet")
        return self._client

    def _ensure_dataset(self) -> None:
        dataset = f"{self._config.project}.{self._config.dataset}"
        try:
            self._rest.get_dataset(dataset, **self._once)
        except NotFound:
            self._rest.create_dataset(dataset, exists_ok=True, **self._once)
            log.info("dataset created", dataset=dataset)

    def _ensure_table(self) -> None:
        try:
            table = self._get(self._config.table_id)
        except NotFound:
            self._create(schema.history_table(self._config.table_id))
        else:
            self._add_columns(table)

    def _ensure_view(self) -> None:
        view = bigquery.Table(self._config.view_id)
        view.view_query = schema.latest_sql(self._config.table_id)
        try:
            there = self._get(self._config.view_id)
        except NotFound:
            self._create(view)
            return
        if there.view_query not in (None, view.view_query):
            self._rest.update_table(view, ["view_query"], **self._once)

    def _get(self, table_id: str) -> bigquery.Table:
        return self._rest.get_table(table_id, **self._once)

    def _create(self, table: bigquery.Table) -> None:
        self._rest.create_table(table, exists_ok=True, **self._once)
        log.info("table created", table=str(table.reference))

    def _add_columns(self, table: bigquery.Table) -> None:
        missing = _missing_columns(table)
        if not missing:
            return
        # Both ways: bqemulator 1.4.0 changes its catalogue by one and its storage by the other
        # (test_a_table_that_is_there_already_gets_the_missing_columns). The second finds it done.
        table.schema = [*table.schema, *missing]
        self._rest.update_table(table, ["schema"], **self._once)
        for field in missing:
            self._query(
                f"ALTER TABLE `{self._config.table_id}` "
                f"ADD COLUMN IF NOT EXISTS {field.name} {field.field_type}"
            )
        log.info("columns added", table=self._config.table_id, columns=[field.name for field in missing])

    def _look(self, parameters: list[Any]) -> list[tuple[Any, ...]]:
        answer = self._query(_LOOK.format(table=self._config.table_id), parameters)
        return [row.values() for row in answer]

    def _query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        timeout = self._config.timeout_s
        return list(
            self._rest.query_and_wait(
                sql,
                job_config=bigquery.QueryJobConfig(use_query_cache=False, query_parameters=parameters),
                api_timeout=timeout,
                wait_timeout=timeout,
                retry=None,  # type: ignore[arg-type]
                job_retry=None,  # type: ignore[arg-type]
            )
        )


def _missing_columns(table: bigquery.Table) -> list[bigquery.SchemaField]:
    there = {
        field.name: schema.LEGACY_TYPES.get(field.field_type, field.field_type) for field in table.schema
    }
    for column in schema.COLUMNS:
        found = there.get(column.name, column.sql_type)
        if found != column.sql_type:
            raise ConfigurationError(
                f"column {column.name} of {table.reference} is {found}, not {column.sql_type}: "
                "rename the table, or set SIGSTREAM_BIGQUERY_TABLE to another"
            )
    return [field for field in schema.fields() if field.name not in there]


def _parameters(rows: Sequence[Row]) -> list[Any]:
    identities = (f"{row.signal_id} {row.version} {row.digest}" for row in rows)
    return [
        *_range("provider", "STRING", [row.provider for row in rows]),
        *_range("symbol", "STRING", [row.symbol for row in rows]),
        *_range("ts", "TIMESTAMP", [row.ts for row in rows]),
        # One text instead of an array: an array parameter costs a JSON object an element.
        bigquery.ScalarQueryParameter("ids", "STRING", ",".join(sorted({row.signal_id for row in rows}))),
        bigquery.ScalarQueryParameter("identities", "STRING", ",".join(identities)),
    ]


def _range(column: str, sql_type: str, values: Sequence[Any]) -> list[Any]:
    return [
        bigquery.ScalarQueryParameter(f"{column}_first", sql_type, min(values)),
        bigquery.ScalarQueryParameter(f"{column}_last", sql_type, max(values)),
    ]
