"""The stores, as something one can ask: connections, parameters and errors of each."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

from app.config import Settings
from app.errors import ConfigurationError
from app.query.signals import Arguments, Row, Store

QUERY_TIMEOUT_S = 30.0
NO_RETRY: dict[str, Any] = {"retry": None, "job_retry": None}
"""BigQuery's client goes on for 600 s by default; a person rather hears what is wrong."""


def open_store(settings: Settings, name: str | None = None) -> Store:
    """The store of that name; by default the first of the required sinks that is configured.

    Raises ConfigurationError when there is none, or its address is missing.
    """
    if name is None:
        name = next((n for n in settings.required_sinks if _configured(settings, n)), "sqlite")
    if name not in STORES:
        raise ConfigurationError(f"there is no store {name!r}: choose one of {', '.join(STORES)}")
    return STORES[name](settings)


def _configured(settings: Settings, name: str) -> bool:
    needed = {"sqlite": True, "timescale": settings.timescale_dsn, "bigquery": settings.bigquery_project}
    return bool(needed.get(name))


def _sqlite(settings: Settings) -> Store:
    file = settings.sqlite_file
    if not file.exists():
        raise ConfigurationError(
            f"{file} does not exist: let `sigstream worker sink sqlite` or `sigstream up` write to it first, "
            "or set SIGSTREAM_SQLITE_PATH or SIGSTREAM_DATA_DIR to where it is"
        )

    def run(sql: str, arguments: Arguments) -> list[Row]:
        from app.sinks.sqlite import errors

        try:
            with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
                connection.row_factory = sqlite3.Row
                return [dict(row) for row in connection.execute(sql, arguments)]
        except sqlite3.Error as error:
            raise errors.of(error, file) from error

    async def query(sql: str, arguments: Arguments) -> list[Row]:
        return await asyncio.to_thread(run, sql, arguments)

    return Store(
        "sqlite",
        "signals_latest",
        lambda _, name: f":{name}",
        query,
        times=lambda mark: (
            f"""SELECT value FROM json_each('["' || replace({mark}, ',', '","') || '"]')"""  # noqa: S608
        ),
    )


def _timescale(settings: Settings) -> Store:
    import asyncpg

    from app.sinks.timescale import TimescaleConfig
    from app.sinks.timescale.errors import translated

    dsn = TimescaleConfig.of(settings).dsn.get_secret_value()

    async def query(sql: str, arguments: Arguments) -> list[Row]:
        with translated("PostgreSQL"):
            connection = await asyncpg.connect(dsn, timeout=10, command_timeout=QUERY_TIMEOUT_S)
            try:
                return [dict(row) for row in await connection.fetch(sql, *arguments.values())]
            finally:
                await connection.close()

    return Store(
        "timescale",
        "signals_latest",
        lambda number, _: f"${number}",
        query,
        time=lambda mark: f"{mark}::text::timestamptz",
        times=lambda mark: f"SELECT unnest(string_to_array({mark}::text, ','))::timestamptz",
    )


def _bigquery(settings: Settings) -> Store:
    from google.cloud.bigquery import QueryJobConfig, ScalarQueryParameter

    from app.sinks.bigquery import BigQueryConfig
    from app.sinks.bigquery.errors import translate

    config = BigQueryConfig.of(settings)

    def run(sql: str, arguments: Arguments) -> list[Row]:
        parameters = [ScalarQueryParameter(name, "STRING", value) for name, value in arguments.items()]
        job = QueryJobConfig(query_parameters=parameters, use_query_cache=False)
        try:
            with closing(config.rest_client()) as client:
                found = client.query_and_wait(
                    sql,
                    job_config=job,
                    api_timeout=QUERY_TIMEOUT_S,
                    wait_timeout=QUERY_TIMEOUT_S,
                    **NO_RETRY,
                )
                return [dict(row) for row in found]
        except Exception as error:
            raise translate(error, f"read {config.table_id}") from error

    async def query(sql: str, arguments: Arguments) -> list[Row]:
        return await asyncio.to_thread(run, sql, arguments)

    return Store(
        "bigquery",
        f"`{config.view_id}`",
        lambda _, name: f"@{name}",
        query,
        versions_table=f"(SELECT * FROM `{config.table_id}` WHERE refused IS NULL)",  # noqa: S608
        repeats=True,
        time=lambda mark: f"TIMESTAMP({mark})",
        times=lambda mark: f"SELECT TIMESTAMP(one) FROM UNNEST(SPLIT({mark}, ',')) AS one",  # noqa: S608
    )


STORES: dict[str, Callable[[Settings], Store]] = {
    "bigquery": _bigquery,
    "sqlite": _sqlite,
    "timescale": _timescale,
}
