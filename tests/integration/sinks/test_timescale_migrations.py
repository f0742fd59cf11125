"""The migrations on plain PostgreSQL: up, down, by several at once, from the command line."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

import migrations
from app.errors import ConfigurationError, Terminal
from app.model.keys import read_ts
from app.sinks.contract import Log, signal
from app.sinks.rows import COLUMNS
from app.sinks.timescale import TimescaleConfig, TimescaleSink, schema

SEED = {"provider", "symbol", "ts", "name", "value", "score", "metadata", "created_at"}
INDEXES = {
    "signals_pkey": "(provider, symbol, ts, name)",
    "signals_series": "(provider, symbol, name, ts DESC)",
    "signals_ts": "(ts DESC)",
    "signals_name_ts": "(name, ts DESC)",
}


@pytest.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


async def columns(connection: asyncpg.Connection) -> set[str]:
    query = "SELECT column_name FROM information_schema.columns WHERE table_name = 'signals'"
    return {row["column_name"] for row in await connection.fetch(query)}


async def indexes(connection: asyncpg.Connection) -> dict[str, str]:
    found = await connection.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = 'signals'"
    )
    return {row["indexname"]: row["indexdef"].split(" USING btree ")[1] for row in found}


async def test_up_and_down_step_by_step(database: str, connection: asyncpg.Connection) -> None:
    await schema.upgrade(database, "0001")
    assert await columns(connection) == SEED
    assert await indexes(connection) == INDEXES
    await schema.upgrade(database)
    assert await columns(connection) == {*COLUMNS, "updated_at"}
    assert await indexes(connection) == INDEXES
    assert await schema.is_current(connection)
    await schema.downgrade(database, "0001")
    assert await columns(connection) == SEED
    await schema.downgrade(database, "base")
    assert await columns(connection) == set()
    assert not await schema.is_current(connection)


async def test_rows_of_before_the_versions_are_kept_and_replaced(
    database: str, connection: asyncpg.Connection
) -> None:
    log = Log()
    await schema.upgrade(database, "0001")
    for name in ("fee", "other"):
        key = log.key(name)
        await connection.execute(
            "INSERT INTO signals (provider, symbol, ts, name, value) VALUES ($1, $2, $3, $4, 0)",
            key.provider,
            key.symbol,
            read_ts(key.ts),
            key.name,
        )
    sink = TimescaleSink(TimescaleConfig(dsn=database))
    await sink.open()
    assert [one.outcome for one in (await sink.write([log.record(signal(1))]))[0]] == ["updated"]
    await sink.close()
    found = await connection.fetch("SELECT name, value, version FROM signals ORDER BY name")
    assert [tuple(row) for row in found] == [("fee", signal(1).value, 1), ("other", 0.0, 0)]


async def test_the_schema_refuses_what_it_should(database: str, connection: asyncpg.Connection) -> None:
    await schema.upgrade(database)
    insert = "INSERT INTO signals (provider, symbol, ts, name) VALUES ('p', $1, now(), 'n')"
    with pytest.raises(asyncpg.CheckViolationError, match="signals_symbol_upper"):
        await connection.execute(insert, "btc")
    with pytest.raises(asyncpg.NotNullViolationError):
        await connection.execute(insert, None)


async def test_several_workers_open_an_empty_database_at_once(database: str) -> None:
    sinks = [TimescaleSink(TimescaleConfig(dsn=database, pool_size=1)) for _ in range(5)]
    await asyncio.gather(*(sink.open() for sink in sinks))
    log = Log()
    said = await asyncio.gather(*(sink.write([log.record(signal())]) for sink in sinks))
    assert sorted(one.outcome for answers in said for answer in answers for one in answer) == [
        "inserted",
        *["unchanged"] * 4,
    ]
    for sink in sinks:
        await sink.close()


async def test_a_database_of_a_later_version_is_left_alone(
    database: str, connection: asyncpg.Connection
) -> None:
    await schema.upgrade(database)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Terminal, match="later version of sigstream"):
        await TimescaleSink(TimescaleConfig(dsn=database)).open()
    assert await columns(connection) == {*COLUMNS, "updated_at"}


async def test_a_step_that_fails_leaves_nothing_behind(database: str, connection: asyncpg.Connection) -> None:
    """0001 makes its table, then meets an index that is in its way."""
    await connection.execute("CREATE TABLE other (ts timestamptz)")
    await connection.execute("CREATE INDEX signals_ts ON other (ts)")
    with pytest.raises(ConfigurationError, match="42P07"):
        await TimescaleSink(TimescaleConfig(dsn=database)).open()
    assert await columns(connection) == set()
    assert await connection.fetchval("SELECT to_regclass('alembic_version')") is None


async def test_a_table_of_somebody_else_is_left_alone(database: str, connection: asyncpg.Connection) -> None:
    await connection.execute("CREATE TABLE signals (provider text)")
    with pytest.raises(ConfigurationError, match="alembic stamp 0001"):
        await TimescaleSink(TimescaleConfig(dsn=database)).open()
    assert await columns(connection) == {"provider"}


async def test_the_command_line_migrates_the_settings_database(
    database: str, connection: asyncpg.Connection
) -> None:
    def alembic(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "alembic", *arguments],
            cwd=Path(migrations.__file__).parent.parent,
            env={**os.environ, "SIGSTREAM_TIMESCALE_DSN": database},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    await asyncio.to_thread(alembic, "upgrade", "head")
    assert await schema.is_current(connection)
    assert "0005 (head)" in await asyncio.to_thread(alembic, "current")
    await asyncio.to_thread(alembic, "downgrade", "base")
    assert await columns(connection) == set()
