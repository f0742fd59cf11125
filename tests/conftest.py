"""Real servers for tests, one of each a test process, started when a fixture first asks for it."""

import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from app.config import Settings
from app.embedded.bigquery import BigQuery
from app.embedded.kafka import Kafka
from app.embedded.postgres import Postgres

pytest.register_assert_rewrite("app.sinks.contract")


@pytest.fixture(scope="session")
def servers_dir() -> Iterator[Path]:
    """For servers' data; pytest's own directories can't be entered by the user PostgreSQL runs as."""
    directory = Path(tempfile.mkdtemp(prefix="sigstream-test-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def kafka_server(servers_dir: Path) -> Iterator[Kafka]:
    """The broker itself, for tests that look after it; a test that stops it starts it again."""
    with Kafka(servers_dir / "kafka") as server:
        yield server


@pytest.fixture(scope="session")
def kafka(kafka_server: Kafka) -> str:
    """Bootstrap servers."""
    return kafka_server.bootstrap


@pytest.fixture(scope="session")
def postgres(servers_dir: Path) -> Iterator[Postgres]:
    """PostgreSQL with an empty database at `.dsn`."""
    with Postgres(servers_dir / "postgres") as server:
        yield server


@pytest.fixture
async def database(postgres: Postgres, namespace: str) -> AsyncIterator[str]:
    """DSN of an empty database of the test's own."""
    connection = await asyncpg.connect(postgres.dsn)
    await connection.execute(f"CREATE DATABASE {namespace}")
    yield urlsplit(postgres.dsn)._replace(path=f"/{namespace}").geturl()
    await connection.execute(f"DROP DATABASE {namespace} WITH (FORCE)")
    await connection.close()


@pytest.fixture(scope="session")
def bigquery(servers_dir: Path) -> Iterator[BigQuery]:
    """The emulator; `.settings()` has its addresses."""
    with BigQuery(servers_dir / "bigquery") as server:
        yield server


@pytest.fixture
def namespace() -> str:
    """Nobody else's: for topics, groups, datasets, schemas."""
    return f"t{uuid.uuid4().hex[:10]}"


@pytest.fixture
def settings(namespace: str, kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of a pipeline of the test's own on the test's Kafka, whatever the environment or `.env` say.

    For more: `settings.model_copy(update=postgres.settings())`.
    """
    for name in [name for name in os.environ if name.startswith("SIGSTREAM_")]:
        monkeypatch.delenv(name)
    return Settings(_env_file=None, namespace=namespace, data_dir=tmp_path, kafka=kafka)
