"""What is in a store, read by a client of the test's own."""

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import asyncpg
from google.api_core.exceptions import NotFound

from app.config import Settings, plain
from app.embedded.bigquery import BigQuery
from app.embedded.postgres import Postgres
from app.sinks.bigquery.config import BigQueryConfig
from app.sinks.bigquery.schema import versions_sql

Key = tuple[str, str, str, str]
"""provider, symbol, ts (canonical), name."""


class Stored(NamedTuple):
    """What is stored of a signal, in terms that all stores share."""

    value: float
    score: float | None
    version: int
    metadata: Any
    """Decoded; None without any."""
    retracted: bool
    correlation_id: str | None


COLUMNS = "value, score, version, metadata, retracted_at IS NOT NULL AS retracted, correlation_id"


class Store(Protocol):
    """A sink's store, as a test looks into it."""

    sink: str

    async def settings(self, base: Settings) -> Settings:
        """The base with this store's address, and room of the test's own in it."""
        ...

    async def rows(self) -> Counter[Key]:
        """Keys and how often each is stored; empty while there is no table."""
        ...

    async def value(self, key: Key) -> tuple[float, int]:
        """Latest value and version of a key."""
        ...

    async def latest(self, provider: str) -> dict[Key, Stored]:
        """What readers see of a provider's signals, by key."""
        ...

    async def versions(self, provider: str) -> Counter[tuple[Key, int]]:
        """The rows behind that: keys with their versions, and how often each is stored."""
        ...

    async def count(self, provider: str) -> int:
        """Rows of a provider."""
        ...


class SqliteStore:
    """The file, opened read-only."""

    sink = "sqlite"

    async def settings(self, base: Settings) -> Settings:
        self._file = base.sqlite_file
        return base

    async def rows(self) -> Counter[Key]:
        return Counter(
            tuple(row) for row in await asyncio.to_thread(self._all, "SELECT provider, symbol, ts, name")
        )

    async def value(self, key: Key) -> tuple[float, int]:
        found = await asyncio.to_thread(self._all, "SELECT provider, symbol, ts, name, value, version")
        return {tuple(row[:4]): (row[4], row[5]) for row in found}[key]

    async def latest(self, provider: str) -> dict[Key, Stored]:
        return stored_by_key(await self._of(f"provider, symbol, ts, name, {COLUMNS}", provider))

    async def versions(self, provider: str) -> Counter[tuple[Key, int]]:
        return counted(await self._of("provider, symbol, ts, name, version", provider))

    async def count(self, provider: str) -> int:
        rows = await self._of("count(*)", provider)
        return int(rows[0][0]) if rows else 0

    async def _of(self, columns: str, provider: str) -> list[Any]:
        where = "WHERE provider = ?"
        return await asyncio.to_thread(self._all, f"SELECT {columns}", where, provider)

    def _all(self, select: str, where: str = "", *arguments: str) -> list[Any]:
        if not self._file.exists():
            return []
        connection = sqlite3.connect(f"file:{self._file}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(f"{select} FROM signals {where}", arguments).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise
        finally:
            connection.close()


class PostgresStore:
    """A database of the test's own on the shared server."""

    sink = "timescale"

    def __init__(self, server: Postgres) -> None:
        self._server = server

    async def settings(self, base: Settings) -> Settings:
        connection = await asyncpg.connect(self._server.dsn)
        await connection.execute(f'CREATE DATABASE "{base.namespace}"')
        await connection.close()
        self._dsn = urlsplit(self._server.dsn)._replace(path=f"/{base.namespace}").geturl()
        return base.model_copy(update={"timescale_dsn": self._dsn})

    async def rows(self) -> Counter[Key]:
        return Counter(tuple(row) for row in await self._all("provider, symbol, " + PG_TS + ", name"))

    async def value(self, key: Key) -> tuple[float, int]:
        found = await self._all("provider, symbol, " + PG_TS + ", name, value, version")
        return {tuple(row)[:4]: (row[4], row[5]) for row in found}[key]

    async def latest(self, provider: str) -> dict[Key, Stored]:
        return stored_by_key(await self._of(f"provider, symbol, {PG_TS}, name, {COLUMNS}", provider))

    async def versions(self, provider: str) -> Counter[tuple[Key, int]]:
        return counted(await self._of(f"provider, symbol, {PG_TS}, name, version", provider))

    async def count(self, provider: str) -> int:
        rows = await self._of("count(*)", provider)
        return int(rows[0][0]) if rows else 0

    async def _of(self, columns: str, provider: str) -> list[Any]:
        return await self._all(columns, "WHERE provider = $1", provider)

    async def _all(self, columns: str, where: str = "", *arguments: str) -> list[Any]:
        connection = await asyncpg.connect(self._dsn)
        try:
            return list(await connection.fetch(f"SELECT {columns} FROM signals {where}", *arguments))
        except asyncpg.UndefinedTableError:
            return []
        finally:
            await connection.close()


PG_TS = """to_char(ts AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


class BigQueryStore:
    """A dataset of the test's own on the emulator; rows are those of the history table, not of the view."""

    sink = "bigquery"

    def __init__(self, server: BigQuery) -> None:
        self._server = server

    async def settings(self, base: Settings) -> Settings:
        update = {**self._server.settings(), "bigquery_dataset": base.namespace}
        changed = base.model_copy(update=update)
        self._config = BigQueryConfig.of(changed)
        self._client = self._config.rest_client()
        return changed

    async def rows(self) -> Counter[Key]:
        found = await self._all(
            f"SELECT provider, symbol, {BQ_TS} AS ts, name FROM `{self._config.table_id}`"
        )
        return Counter((row["provider"], row["symbol"], row["ts"], row["name"]) for row in found)

    async def value(self, key: Key) -> tuple[float, int]:
        found = await self._all(
            f"SELECT provider, symbol, {BQ_TS} AS ts, name, value, version FROM `{self._config.view_id}`"
        )
        rows = {(r["provider"], r["symbol"], r["ts"], r["name"]): (r["value"], r["version"]) for r in found}
        return rows[key]

    async def latest(self, provider: str) -> dict[Key, Stored]:
        columns = COLUMNS.replace("metadata", "TO_JSON_STRING(metadata) AS metadata")
        versions = f"({versions_sql(self._config.table_id)})"  # the view leaves out what was taken back
        return stored_by_key(
            await self._of(f"provider, symbol, {BQ_TS} AS at, name, {columns}", versions, provider)
        )

    async def versions(self, provider: str) -> Counter[tuple[Key, int]]:
        columns = f"provider, symbol, {BQ_TS} AS at, name, version"
        return counted(await self._of(columns, f"`{self._config.table_id}`", provider))

    async def count(self, provider: str) -> int:
        rows = await self._of("count(*)", f"`{self._config.table_id}`", provider)
        return int(rows[0][0]) if rows else 0

    async def history(self) -> tuple[int, int]:
        """Rows of the history table, and how many of them differ in signal or version."""
        identity = "CONCAT(signal_id, '/', CAST(version AS STRING))"
        table = self._config.table_id
        (row,) = await self._all(f"SELECT COUNT(*), COUNT(DISTINCT {identity}) FROM `{table}`")
        return row[0], row[1]

    async def beyond(self, committed: dict[int, int]) -> int:
        """Rows of the history whose record lies at or beyond what is committed of its partition."""
        where = " OR ".join(
            f"(kafka_partition = {number} AND kafka_offset >= {offset})"
            for number, offset in committed.items()
        )
        found = await self._all(f"SELECT COUNT(*) FROM `{self._config.table_id}` WHERE {where}")
        return int(found[0][0]) if found else 0

    async def _of(self, columns: str, table: str, provider: str) -> list[Any]:
        return await self._all(f"SELECT {columns} FROM {table} WHERE provider = '{provider}'")

    async def _all(self, sql: str) -> list[Any]:
        try:
            return await asyncio.to_thread(self._query, sql)
        except NotFound:
            return []

    def _query(self, sql: str) -> list[Any]:
        return list(self._client.query_and_wait(sql))


BQ_TS = "FORMAT_TIMESTAMP('%Y-%m-%dT%H:%M:%E6SZ', ts)"


def stored_by_key(rows: Iterable[Sequence[Any]]) -> dict[Key, Stored]:
    """Rows of key and COLUMNS; a key that comes twice is an error."""
    found: dict[Key, Stored] = {}
    for row in rows:
        provider, symbol, ts, name, value, score, version, metadata, retracted, correlation_id = tuple(row)
        key = (provider, symbol, ts, name)
        assert key not in found, f"{key} is there twice"
        content = json.loads(metadata) if metadata is not None else None
        found[key] = Stored(value, score, version, content, bool(retracted), correlation_id)
    return found


def counted(rows: Iterable[Sequence[Any]]) -> Counter[tuple[Key, int]]:
    """Rows of key and version."""
    return Counter(((row[0], row[1], row[2], row[3]), row[4]) for row in map(tuple, rows))


async def empty_tables(settings: Settings) -> None:
    """Of SQLite and PostgreSQL, as somebody would who lost what was in them."""
    with closing(sqlite3.connect(settings.sqlite_file, isolation_level=None)) as file:
        file.execute("DELETE FROM signals")
    connection = await asyncpg.connect(plain(settings.timescale_dsn))
    await connection.execute("DELETE FROM signals")
    await connection.close()
