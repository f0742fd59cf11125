"""The TimescaleDB sink while its server is down, hung, locked, full, or does not want it."""

import asyncio
import os
import signal as signals
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from app.config import Settings
from app.embedded.postgres import Postgres
from app.errors import ConfigurationError, Terminal, Transient
from app.model.receipt import Outcome
from app.sinks.contract import Log, signal
from app.sinks.rows import flatten
from app.sinks.timescale import TimescaleConfig, TimescaleSink
from app.sinks.timescale.errors import of
from app.sinks.timescale.expectation import Expectation
from app.sinks.timescale.service import SQL
from app.sinks.timescale.upsert import Upsert

ENDED = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asyncpg raises where the server has ended the session; which one, a race decides."""
TIMEOUT_S = 2.0


@pytest.fixture(scope="module")
def server(servers_dir: Path) -> Iterator[Postgres]:
    """One that may be stopped without anybody else's tests noticing; few connections."""
    with Postgres(servers_dir / "postgres-outages", {"max_connections": "12"}) as server:
        yield server


@pytest.fixture
async def sink(server: Postgres) -> AsyncIterator[TimescaleSink]:
    sink = TimescaleSink(TimescaleConfig(dsn=server.dsn, timeout_s=TIMEOUT_S, connect_timeout_s=TIMEOUT_S))
    await sink.open()
    yield sink
    await sink.close()


@pytest.fixture
def log() -> Log:
    return Log()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fails when the inside takes longer."""
    start = time.monotonic()
    yield
    took = time.monotonic() - start
    assert took < seconds, f"took {took:.1f} s, more than {seconds} s"


async def until_blocked(admin: asyncpg.Connection) -> None:
    """Returns once the sink's statement waits for a lock."""
    query = """SELECT count(*) FROM pg_stat_activity
               WHERE application_name = 'sigstream' AND wait_event_type = 'Lock'"""
    async with asyncio.timeout(10):
        while True:
            if await admin.fetchval(query):
                return
            await asyncio.sleep(0.01)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


def changed(dsn: str, **parts: str) -> str:
    """The DSN with another user, password, port or path."""
    old = urlsplit(dsn)
    user = parts.get("user", old.username)
    password = parts.get("password", old.password)
    port = parts.get("port", old.port)
    return f"postgresql://{user}:{password}@{old.hostname}:{port}{parts.get('path', old.path)}"


async def test_a_server_that_stops_and_comes_back(server: Postgres, sink: TimescaleSink, log: Log) -> None:
    first, second = log.record(signal()), log.record(signal(2))
    await sink.write([first])
    server.stop()
    with within(5):
        for attempt in (sink.write([second]), sink.health()):
            with pytest.raises(Transient):
                await attempt
        with pytest.raises(Transient):
            await sink.open()
    server.start()
    assert [one.outcome for one in (await sink.write([second]))[0]] == ["updated"]


async def test_a_server_killed_while_it_is_closed_and_opened_again(
    server: Postgres, sink: TimescaleSink, log: Log
) -> None:
    await sink.write([log.record(signal())])
    server.kill()
    with within(5), pytest.raises(Transient):
        await sink.open()
    server.start()
    await sink.open()
    assert [one.outcome for one in (await sink.write([log.record(signal())]))[0]] == ["unchanged"]


async def test_a_connection_that_is_cut(server: Postgres, sink: TimescaleSink, log: Log) -> None:
    await sink.write([log.record(signal())])
    admin = await asyncpg.connect(server.dsn)
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sigstream'"
    )
    await admin.close()
    with suppress(Transient):  # the pool may notice before it hands the connection out
        await sink.write([log.record(signal(2))])
    said = await sink.write([log.record(signal(3))])
    assert said[0][0].outcome == "updated"


async def test_a_lock_is_given_up_on(server: Postgres, sink: TimescaleSink, log: Log) -> None:
    other = await asyncpg.connect(server.dsn)
    async with other.transaction():
        await other.execute("LOCK TABLE signals IN ACCESS EXCLUSIVE MODE")
        with within(2 * TIMEOUT_S), pytest.raises(Transient, match="57014"):
            await sink.write([log.record(signal())])
    await other.close()
    assert [one.outcome for one in (await sink.write([log.record(signal())]))[0]] == ["inserted"]


async def test_a_hung_server_is_given_up_on(server: Postgres, sink: TimescaleSink, log: Log) -> None:
    await sink.write([log.record(signal())])
    admin = await asyncpg.connect(server.dsn)
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'sigstream'"
    hung = [server.pid, *(row["pid"] for row in await admin.fetch(query))]
    await admin.close()
    for pid in hung:
        os.kill(pid, signals.SIGSTOP)
    try:
        with within(3 * TIMEOUT_S + 1), pytest.raises(Transient, match="does not answer"):
            await sink.write([log.record(signal(2))])
        with within(3 * TIMEOUT_S + 1), pytest.raises(Transient, match="does not answer"):
            await sink.health()
    finally:
        for pid in hung:
            os.kill(pid, signals.SIGCONT)
    assert (await sink.write([log.record(signal(3))]))[0][0].outcome == "updated"


async def test_too_many_connections_are_waited_for(server: Postgres, log: Log) -> None:
    settings = {"user": "visitor", "password": "visitor"}
    admin = await asyncpg.connect(server.dsn)
    await admin.execute("CREATE ROLE visitor LOGIN PASSWORD 'visitor' CONNECTION LIMIT 1")
    taken = await asyncpg.connect(changed(server.dsn, **settings))
    with pytest.raises(Transient, match="53300"):
        await TimescaleSink(TimescaleConfig(dsn=changed(server.dsn, **settings))).open()
    await taken.close()
    await admin.execute("DROP ROLE visitor")
    await admin.close()


async def test_a_deadlock_is_tried_again(server: Postgres, sink: TimescaleSink, log: Log) -> None:
    """The other one holds the second row and asks for the first, which the sink's statement holds."""
    record = log.record(signal(name="a"), signal(name="b"))
    await sink.write([record])
    other = await asyncpg.connect(server.dsn)
    await other.execute("SET deadlock_timeout = '10s'")
    where = f"WHERE symbol = '{log.symbol}' AND name = $1"
    admin = await asyncpg.connect(server.dsn)
    await admin.execute("ALTER SYSTEM SET deadlock_timeout = '100ms'")
    await admin.execute("SELECT pg_reload_conf()")
    transaction = other.transaction()
    await transaction.start()
    await other.execute(f"UPDATE signals SET version = version {where}", "b")
    writing = asyncio.create_task(sink.write([log.record(signal(2, name="a"), signal(2, name="b"))]))
    await until_blocked(admin)
    closing = asyncio.create_task(other.execute(f"UPDATE signals SET version = version {where}", "a"))
    with pytest.raises(Transient, match="40P01"):
        await writing
    await closing
    await transaction.rollback()
    await admin.execute("ALTER SYSTEM RESET deadlock_timeout")
    await other.close()
    await admin.close()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"password": "guessed"}, "check user and password in SIGSTREAM_TIMESCALE_DSN"),
        ({"user": "nobody-at-all"}, "check user and password in SIGSTREAM_TIMESCALE_DSN"),
        ({"path": "/elsewhere"}, "create the database"),
    ],
)
async def test_what_waiting_cant_heal_names_the_remedy(
    server: Postgres, wrong: dict[str, str], message: str
) -> None:
    sink = TimescaleSink(TimescaleConfig(dsn=changed(server.dsn, **wrong)))
    with pytest.raises(ConfigurationError, match=message) as raised:
        await sink.open()
    assert "guessed" not in str(raised.value)


async def test_missing_rights_name_the_remedy(server: Postgres) -> None:
    admin = await asyncpg.connect(server.dsn)
    await admin.execute("CREATE ROLE reader LOGIN PASSWORD 'reader'")
    sink = TimescaleSink(TimescaleConfig(dsn=changed(server.dsn, user="reader", password="reader")))
    with pytest.raises(ConfigurationError, match=r"42501.*sigstream migrate"):
        await sink.open()
    await admin.execute("DROP ROLE reader")
    await admin.close()


async def test_nobody_listens(free_port: int, server: Postgres) -> None:
    sink = TimescaleSink(TimescaleConfig(dsn=changed(server.dsn, port=str(free_port))))
    with within(5), pytest.raises(Transient, match=f"127.0.0.1:{free_port}/sigstream does not answer"):
        await sink.open()


async def test_a_dsn_that_is_none() -> None:
    with pytest.raises(Terminal, match="SIGSTREAM_TIMESCALE_DSN"):
        await TimescaleSink(TimescaleConfig(dsn="mysql://localhost/x")).open()


def test_no_dsn_at_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="sigstream up"):
        TimescaleConfig.of(Settings(_env_file=None, data_dir=tmp_path))


async def test_a_worker_that_stands_still_amid_a_write_does_not_hold_up_its_successor(
    server: Postgres, log: Log
) -> None:
    """Its locks on rows would stay for as long as its process does."""
    records = [log.record(signal())]
    zombie = TimescaleSink(TimescaleConfig(dsn=server.dsn, stall_s=1.0))
    successor = TimescaleSink(TimescaleConfig(dsn=server.dsn, timeout_s=10.0))
    await zombie.open()
    await successor.open()
    async with zombie._session() as connection:
        transaction = connection.transaction()
        await transaction.start()
        upsert = Upsert(connection, SQL, 1, Expectation())
        assert [one.outcome for one in await upsert.store(flatten(records))] == [Outcome.INSERTED]
        (written,) = await successor.write(records)
        with pytest.raises(ENDED) as ended:
            await transaction.commit()
    assert isinstance(of(ended.value, "PostgreSQL"), Transient)
    assert [one.outcome for one in written] == [Outcome.INSERTED]
    await zombie.close()
    await successor.close()
