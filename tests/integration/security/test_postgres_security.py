"""PostgreSQL: TLS by the DSN, and roles that may do no more than their work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import asyncpg
import pytest

from app.config import Settings
from app.embedded.postgres import Postgres
from app.errors import ConfigurationError, Transient
from app.sinks.contract import Log, signal
from app.sinks.timescale import TimescaleConfig, TimescaleSink, schema
from app.sinks.timescale.roles import READER, ROLES, WRITER
from tests.support.certificates import Authority
from tests.support.cli import Cli
from tests.support.processes import sigstream
from tests.support.tls_front import tls_front

PASSWORD = "pw-Postgres-8c41d2"


def changed(dsn: str, user: str | None = None, database: str | None = None, **query: str | Path) -> str:
    """As another user, of another database, with parameters."""
    parts = urlsplit(dsn)
    if user is not None:
        parts = parts._replace(netloc=f"{user}:{PASSWORD}@{parts.netloc.rpartition('@')[2]}")
    if database is not None:
        parts = parts._replace(path=f"/{database}")
    return parts._replace(query=urlencode({name: str(value) for name, value in query.items()})).geturl()


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def user(postgres: Postgres, database: str, namespace: str) -> AsyncIterator[str]:
    """A login of the test's own, without any rights; gone, with its objects, before the database is."""
    name = f"u{namespace}"
    async with connected(database) as admin:
        await admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
        yield name
        await admin.execute(f"DROP OWNED BY {name} CASCADE")
    async with connected(postgres.dsn) as admin:
        await admin.execute(f"REASSIGN OWNED BY {name} TO CURRENT_USER; DROP OWNED BY {name}")
        await admin.execute(f"DROP ROLE {name}")


@asynccontextmanager
async def opened(dsn: str, threshold: int = 1000) -> AsyncIterator[TimescaleSink]:
    sink = TimescaleSink(TimescaleConfig(dsn=dsn, batch_threshold=threshold))
    await sink.open()
    try:
        yield sink
    finally:
        await sink.close()


@pytest.mark.parametrize("threshold", [1000, 1], ids=["unnest", "copy"])
async def test_a_writer_writes_by_both_paths_and_nothing_else(
    database: str, user: str, threshold: int
) -> None:
    await schema.upgrade(database)
    async with connected(database) as owner:
        await owner.execute(f"GRANT {WRITER} TO {user}")
        # As careful administrators do: what a writer needs must come from its role.
        await owner.execute(f"REVOKE ALL ON DATABASE {urlsplit(database).path[1:]} FROM PUBLIC")
        await owner.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    log = Log()
    async with opened(changed(database, user), threshold) as sink:
        for sent, outcome in ((signal(1), "inserted"), (signal(2), "updated"), (signal(1), "unchanged")):
            [[written]] = await sink.write([log.record(sent)])
            assert written.outcome == outcome
        both = await sink.write([log.record(signal(3)), log.record(signal(4))])
        assert [one.outcome for answer in both for one in answer] == ["updated", "updated"]
        mixed = await sink.write([log.record(signal(5, value=1.0, confidence=7.0), signal(1, name="other"))])
        assert [one.outcome for one in mixed[0]] == ["rejected", "inserted"]
        await sink.health()
    for statement in (
        "DELETE FROM signals",
        "TRUNCATE signals",
        "DROP TABLE signals",
        "ALTER TABLE signals ADD COLUMN more int",
        "CREATE TABLE more (a int)",
        "UPDATE alembic_version SET version_num = '0'",
        "DROP VIEW signals_latest",
        f"CREATE ROLE {user}2",
    ):
        await refused(changed(database, user), statement)


async def test_a_reader_reads_and_nothing_else(database: str, user: str) -> None:
    async with opened(database) as sink:
        await sink.write([Log().record(signal())])
    async with connected(database) as owner:
        await owner.execute(f"GRANT {READER} TO {user}")
    async with connected(changed(database, user)) as reader:
        for table in ("signals", "signals_latest"):
            assert await reader.fetchval(f"SELECT count(*) FROM {table}") == 1
    for statement in (
        "INSERT INTO signals (provider, symbol, ts, name) VALUES ('p', 'S', now(), 'n')",
        "UPDATE signals SET value = 0",
        "DELETE FROM signals",
        "TRUNCATE signals",
        "DROP TABLE signals",
        "CREATE TABLE more (a int)",
    ):
        await refused(changed(database, user), statement)


async def refused(dsn: str, statement: str) -> None:
    async with connected(dsn) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


async def test_a_user_who_may_make_no_roles_migrates_and_says_what_is_missing(
    postgres: Postgres, database: str, user: str, cli: Cli
) -> None:
    """Managed services: the schema's owner has neither CREATEROLE nor the database."""
    async with renamed_roles(postgres):
        async with connected(database) as admin:
            await admin.execute(f"GRANT CREATE, USAGE ON SCHEMA public TO {user}")
        cli.environment["SIGSTREAM_TIMESCALE_DSN"] = changed(database, user)
        result = await asyncio.to_thread(cli, "migrate")
        assert result.exit_code == 0, result.stderr
        for role in ROLES:
            assert f"`CREATE ROLE {role} NOLOGIN`" in " ".join(result.stdout.split())
        async with connected(database) as admin:
            assert await admin.fetchval("SELECT version_num FROM alembic_version") == schema.head()
            await admin.execute("; ".join(f"CREATE ROLE {role} NOLOGIN" for role in ROLES))
        result = await asyncio.to_thread(cli, "migrate")
        assert "have their rights" in result.stdout
        async with connected(database) as admin:
            may = f"SELECT has_table_privilege('{WRITER}', 'signals', 'INSERT')"
            assert await admin.fetchval(may)
            await admin.execute(f"DROP OWNED BY {', '.join(ROLES)}; DROP ROLE {', '.join(ROLES)}")


@asynccontextmanager
async def renamed_roles(postgres: Postgres) -> AsyncIterator[None]:
    """Within: a cluster that has never seen the roles; other tests may have made them."""
    async with connected(postgres.dsn) as admin:
        for role in ROLES:
            if await admin.fetchval("SELECT to_regrole($1) IS NOT NULL", role):
                await admin.execute(f"ALTER ROLE {role} RENAME TO {role}_away")
        yield
        for role in ROLES:
            if await admin.fetchval("SELECT to_regrole($1) IS NOT NULL", f"{role}_away"):
                await admin.execute(f"ALTER ROLE {role}_away RENAME TO {role}")


async def test_a_sink_that_may_not_migrate_names_the_command(database: str, user: str) -> None:
    await schema.upgrade(database, "0003")
    async with connected(database) as owner:
        await owner.execute(f"GRANT SELECT ON alembic_version, signals TO {user}")
    with pytest.raises(ConfigurationError, match=r"may not change it .*: run `sigstream migrate` once"):
        async with opened(changed(database, user)):
            pass
    async with connected(database) as owner:
        assert await owner.fetchval("SELECT version_num FROM alembic_version") == "0003"


async def test_two_databases_of_one_cluster_share_the_roles(
    postgres: Postgres, database: str, namespace: str, tmp_path: Path
) -> None:
    """Migrated at once, on a cluster that has not seen the roles."""
    settings = Settings(_env_file=None, namespace=namespace, data_dir=tmp_path)
    second = f"{namespace}b"
    dsns = database, changed(postgres.dsn, database=second)
    async with connected(postgres.dsn) as admin, renamed_roles(postgres):
        await admin.execute(f"CREATE DATABASE {second}")
        both = [settings.model_copy(update={"timescale_dsn": dsn}) for dsn in dsns]
        said = await asyncio.gather(*(asyncio.to_thread(sigstream, one, "migrate") for one in both))
        assert all("have their rights" in text for text in said)
        for dsn in dsns:
            async with connected(dsn) as found:
                may = f"SELECT has_table_privilege('{WRITER}', 'signals', $1)"
                assert [await found.fetchval(may, right) for right in ("UPDATE", "DELETE")] == [True, False]
                await found.execute(f"DROP OWNED BY {', '.join(ROLES)}")
        await admin.execute(f"DROP DATABASE {second} WITH (FORCE)")
        await admin.execute(f"DROP ROLE {', '.join(ROLES)}")


@pytest.fixture(scope="module")
def authority(servers_dir: Path) -> Authority:
    return Authority(servers_dir / "pg-pki")


@pytest.fixture
async def tls_dsn(database: str, authority: Authority) -> AsyncIterator[str]:
    """Takes TLS alone."""
    async with tls_front(database, *authority.issue("postgres")) as dsn:
        yield dsn


TLS = {"sslmode": "verify-full"}


async def test_a_sink_writes_over_tls(database: str, tls_dsn: str, authority: Authority) -> None:
    async with opened(changed(tls_dsn, sslrootcert=authority.file, **TLS)) as sink:
        [[written]] = await sink.write([Log().record(signal())])
        assert written.outcome == "inserted"
    async with connected(database) as admin:
        assert await admin.fetchval("SELECT count(*) FROM signals") == 1


async def test_migrations_go_over_tls(tls_dsn: str, authority: Authority, cli: Cli) -> None:
    cli.environment["SIGSTREAM_TIMESCALE_DSN"] = changed(tls_dsn, sslrootcert=authority.file, **TLS)
    result = await asyncio.to_thread(cli, "migrate")
    assert result.exit_code == 0, result.stderr
    assert "revision" in result.stdout


@pytest.mark.parametrize(
    ("host", "ca", "says"),
    [
        ("127.0.0.1", "other", "a certificate that is not trusted"),
        ("localhost", "right", "a certificate that is not trusted"),
        (
            "127.0.0.1",
            "missing",
            "sslrootcert in SIGSTREAM_TIMESCALE_DSN is .*missing.pem, which",
        ),
        ("127.0.0.1", "broken", "can't be reached by TLS"),
    ],
)
async def test_what_is_wrong_with_tls_is_named(
    tls_dsn: str, authority: Authority, tmp_path: Path, host: str, ca: str, says: str
) -> None:
    (tmp_path / "broken.pem").write_text("no certificate")
    files = {"right": authority.file, "other": Authority(tmp_path, "another CA").file}
    dsn = changed(tls_dsn, sslrootcert=files.get(ca, tmp_path / f"{ca}.pem"), **TLS)
    with pytest.raises(ConfigurationError, match=says) as raised:
        async with opened(dsn.replace("127.0.0.1", host)):
            pass
    assert str(urlsplit(tls_dsn).password) not in str(raised.value)


async def test_a_server_without_tls_is_refused_by_who_asks_for_it(
    postgres: Postgres, authority: Authority
) -> None:
    dsn = changed(postgres.dsn, sslrootcert=authority.file, **TLS)
    with pytest.raises(Transient, match=r"rejected SSL upgrade.*does it take TLS as sslmode asks for"):
        async with opened(dsn):
            pass
