"""The migrations and the sink on the real TimescaleDB extension, in WebAssembly.

It is one backend that takes one connection at a time; COPY and large statements are beyond it.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import asyncpg
import pytest

from app.errors import ConfigurationError
from app.model.keys import write_ts
from app.model.signal import Signal
from app.sinks.base import SinkRecord
from app.sinks.contract import START, Log, signal
from app.sinks.timescale import TimescaleConfig, TimescaleSink, schema
from tests.timescaledb.wasm_server import WasmServer

LIMIT = "max_tuples_decompressed_per_dml_transaction"
INDEXES = {
    "signals_pkey": "(provider, symbol, ts, name)",
    "signals_series": "(provider, symbol, name, ts DESC)",
    "signals_ts": "(ts DESC)",
    "signals_name_ts": "(name, ts DESC)",
}


@pytest.fixture(scope="module")
def server() -> Iterator[WasmServer]:
    with WasmServer() as server:
        yield server


@pytest.fixture
async def dsn(server: WasmServer) -> AsyncIterator[str]:
    """Of a database with the schema and without rows."""
    await schema.upgrade(server.dsn)
    yield server.dsn
    await _run(server.dsn, "TRUNCATE signals")


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """The only one: it must be closed for the sink to be opened."""
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


def sink_of(dsn: str) -> TimescaleSink:
    return TimescaleSink(TimescaleConfig(dsn=dsn, pool_size=1))


async def test_signals_are_a_hypertable_of_seven_days(connection: asyncpg.Connection) -> None:
    found = await connection.fetch(
        """SELECT column_name, time_interval FROM timescaledb_information.dimensions
           WHERE hypertable_name = 'signals'"""
    )
    assert [tuple(row) for row in found] == [("ts", timedelta(days=7))]


async def test_chunks_are_compressed_after_thirty_days(connection: asyncpg.Connection) -> None:
    policy = await connection.fetchval(
        """SELECT config->>'compress_after' FROM timescaledb_information.jobs
           WHERE hypertable_name = 'signals' AND proc_name = 'policy_compression'"""
    )
    assert policy == "30 days"
    settings = await connection.fetch(
        """SELECT attname, segmentby_column_index, orderby_column_index, orderby_asc
           FROM timescaledb_information.compression_settings WHERE hypertable_name = 'signals'"""
    )
    assert {tuple(row) for row in settings} == {
        ("provider", 1, None, None),
        ("symbol", 2, None, None),
        ("name", 3, None, None),
        ("ts", None, 1, False),
    }


async def test_the_indexes_are_there_and_on_every_chunk(connection: asyncpg.Connection) -> None:
    await connection.execute(
        "INSERT INTO signals (provider, symbol, ts, name) VALUES ('p', 'S', '2024-01-01', 'n')"
    )
    assert await _indexes(connection, "signals") == INDEXES
    chunk = await connection.fetchval(
        "SELECT chunk_name FROM timescaledb_information.chunks WHERE hypertable_name = 'signals'"
    )
    assert sorted((await _indexes(connection, chunk)).values()) == sorted(INDEXES.values())


async def _indexes(connection: asyncpg.Connection, table: str) -> dict[str, str]:
    query = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = $1"
    found = await connection.fetch(query, table)
    return {row["indexname"]: row["indexdef"].split(" USING btree ")[1] for row in found}


async def test_every_outcome_in_every_chunk(dsn: str) -> None:
    sink, log = sink_of(dsn), Log()
    await sink.open()
    times = [write_ts(START + timedelta(days=7 * i)) for i in range(3)]
    first = [log.record(signal(2, name="a"), signal(2, name="b"), ts=ts) for ts in times]
    assert await _outcomes(sink, *first) == ["inserted"] * 6
    second = [
        log.record(signal(3, name="a"), signal(1, name="b"), signal(1, name="c", retracted_at=START), ts=ts)
        for ts in times
    ]
    assert await _outcomes(sink, *second) == ["updated", "unchanged", "retracted"] * 3
    await sink.close()


async def test_an_upsert_into_a_compressed_chunk(dsn: str) -> None:
    log = Log()
    names = [f"s{i}" for i in range(20)]
    await _write(dsn, log, *(signal(1, name=name) for name in names))
    assert await _run(dsn, "SELECT count(compress_chunk(c)) FROM show_chunks('signals') c") == 1
    assert await _write(dsn, log, signal(2, name="s3"), signal(1, name="s4"), signal(1, name="new")) == [
        "updated",
        "unchanged",
        "inserted",
    ]
    stored = f"SELECT count(*) FROM signals WHERE symbol = '{log.symbol}'"
    assert await _run(dsn, stored) == 21
    assert await _run(dsn, f"{stored} AND version = 2") == 1
    compressed = "SELECT is_compressed FROM timescaledb_information.chunks"
    assert await _run(dsn, compressed) is True


async def test_copy_into_a_compressed_chunk_sees_what_is_there(dsn: str) -> None:
    """The sink copies straight into the table, and counts on the refusal of a key that is known."""
    await _write(dsn, Log(), *(signal(1, name=f"s{i}") for i in range(20)))
    connection = await asyncpg.connect(dsn)
    await connection.execute("SELECT compress_chunk(c) FROM show_chunks('signals') c")
    columns = "provider, symbol, ts, name"
    # The server's own files: COPY from the client is what this build can't do.
    await connection.execute(f"COPY (SELECT {columns} FROM signals LIMIT 5) TO '/tmp/known.csv' CSV")
    new = "SELECT provider, symbol, ts, name || '.new' FROM signals LIMIT 5"
    await connection.execute(f"COPY ({new}) TO '/tmp/new.csv' CSV")
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(f"COPY signals ({columns}) FROM '/tmp/known.csv' CSV")
    assert await connection.execute(f"COPY signals ({columns}) FROM '/tmp/new.csv' CSV") == "COPY 5"
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(f"COPY signals ({columns}) FROM '/tmp/new.csv' CSV")
    assert await connection.fetchval("SELECT count(*) FROM signals") == 25
    await connection.close()


async def test_the_sinks_sessions_decompress_without_limit_and_compare_what_they_copy(dsn: str) -> None:
    sink = sink_of(dsn)
    await sink.open()
    async with sink._session() as connection:
        query = "SELECT setting, source FROM pg_settings WHERE name = 'timescaledb.' || $1"
        assert tuple(await connection.fetchrow(query, LIMIT)) == ("0", "session")
        direct = await connection.fetchrow(query, "enable_direct_compress_copy")
        assert tuple(direct) == ("off", "session")
    await sink.close()


async def test_a_session_with_the_limit_says_what_is_wrong(dsn: str) -> None:
    """Why there is none: the same upsert, with the limit below what it meets."""
    log = Log()
    names = [f"s{i}" for i in range(20)]
    await _write(dsn, log, *(signal(1, name=name) for name in names))
    await _run(dsn, "SELECT count(compress_chunk(c)) FROM show_chunks('signals') c")
    sink = sink_of(dsn)
    await sink.open()
    async with sink._session() as connection:
        await connection.execute(f"SET timescaledb.{LIMIT} = 5")
    changed = log.record(*(signal(2, name=name) for name in names))
    with pytest.raises(ConfigurationError, match=LIMIT):
        await sink.write([changed])
    assert await _outcomes(sink, changed) == ["updated"] * 20, "a new session has no limit"
    await sink.close()


async def test_down_and_up_again_keep_the_rows(dsn: str) -> None:
    log = Log()
    await _write(dsn, log, signal(1), signal(2, name="other"))
    await _run(dsn, "SELECT count(compress_chunk(c)) FROM show_chunks('signals') c")
    await schema.downgrade(dsn, "0002")
    assert await _run(dsn, "SELECT count(*) FROM timescaledb_information.hypertables") == 0
    assert await _run(dsn, "SELECT count(*) FROM signals") == 2
    connection = await asyncpg.connect(dsn)
    assert await _indexes(connection, "signals") == INDEXES
    await connection.close()
    await schema.upgrade(dsn)
    assert await _run(dsn, "SELECT count(*) FROM timescaledb_information.hypertables") == 1
    assert await _write(dsn, log, signal(1), signal(3, name="other")) == ["unchanged", "updated"]


async def test_down_to_nothing(dsn: str) -> None:
    await schema.downgrade(dsn, "base")
    assert await _run(dsn, "SELECT to_regclass('signals')") is None
    assert await _run(dsn, "SELECT count(*) FROM timescaledb_information.jobs WHERE job_id >= 1000") == 0
    await schema.upgrade(dsn)


async def _write(dsn: str, log: Log, *signals: Signal) -> list[str]:
    sink = sink_of(dsn)
    await sink.open()
    said = await _outcomes(sink, log.record(*signals))
    await sink.close()
    return said


async def _outcomes(sink: TimescaleSink, *records: SinkRecord) -> list[str]:
    said = await sink.write(records)
    return [one.outcome for answer in said for one in answer]


async def _run(dsn: str, query: str) -> object:
    """First value of the answer, on a connection of its own."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_a_writer_may_write_into_chunks_old_and_new_and_may_not_delete(
    connection: asyncpg.Connection,
) -> None:
    """What is granted on the hypertable holds for its chunks, compressed ones included."""
    upsert = """INSERT INTO signals (provider, symbol, ts, name, value)
                VALUES ('w', 'S', $1::timestamptz, 'n', 1)
                ON CONFLICT (provider, symbol, ts, name) DO UPDATE SET value = signals.value + 1"""
    old, new = START, START + timedelta(days=70)
    await connection.execute(upsert, old)
    await connection.execute("SELECT compress_chunk(c) FROM show_chunks('signals') c")
    await connection.execute("SET ROLE sigstream_writer")
    for ts in (old, new, new):
        await connection.execute(upsert, ts)
    for statement in ("DELETE FROM signals", "TRUNCATE signals", "DROP TABLE signals"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    await connection.execute("RESET ROLE")
    assert await connection.fetchval("SELECT array_agg(value ORDER BY ts) FROM signals") == [2.0, 2.0]
