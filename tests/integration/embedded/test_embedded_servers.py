"""Each embedded server, on a directory of the test's own: real work, faults, and the same data after."""

import asyncio
import os
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery as google

from app.embedded.bigquery import BigQuery
from app.embedded.kafka import Kafka
from app.embedded.postgres import Postgres
from app.embedded.server import Server, start_all, stop_all
from app.errors import ConfigurationError, ServerDidNotStart

PARENT = """
import sys, time
from pathlib import Path
from app.embedded.{module} import {kind}
server = {kind}(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""


class ServerContract(ABC):
    """What each of them must do; a subclass says how to write and read with its client."""

    kind: type[Server]
    complaint: str
    """In the log of the broken server."""

    @abstractmethod
    async def write(self, server: Server, story: str, text: str) -> None:
        """Add `text` to `story`, durable on return."""

    @abstractmethod
    async def read(self, server: Server, story: str) -> list[str]:
        """All that was written."""

    @abstractmethod
    def broken(self, directory: Path) -> Server:
        """A server that can't start."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, servers_dir: Path) -> Iterator[Server]:
        with cls.kind(servers_dir / cls.__name__) as server:
            yield server

    async def test_what_was_written_outlives_a_kill_and_a_stop(self, server: Server, namespace: str) -> None:
        addresses = server.settings()
        await self.write(server, namespace, "first")
        server.kill()
        assert not server.running
        server.start()
        await self.write(server, namespace, "second")
        server.stop()
        server.start()
        assert await self.read(server, namespace) == ["first", "second"]
        assert server.settings() == addresses

    async def test_a_second_start_on_its_directory_is_refused(self, server: Server, namespace: str) -> None:
        with pytest.raises(ConfigurationError, match=f"in use by process {os.getpid()} "):
            self.kind(server.directory).start()
        with pytest.raises(ConfigurationError, match="in use"):
            server.start()
        await self.write(server, namespace, "still here")
        assert await self.read(server, namespace) == ["still here"]

    async def test_it_ends_with_a_killed_parent_and_its_directory_is_free(
        self, servers_dir: Path, namespace: str
    ) -> None:
        directory = servers_dir / namespace
        pid = kill_parent_of(self.kind, directory)
        with self.kind(directory) as server:  # waits for the one before to end
            assert not is_alive(pid)
            await self.write(server, namespace, "after")
            assert await self.read(server, namespace) == ["after"]

    def test_a_failed_start_shows_the_end_of_the_log(self, servers_dir: Path, namespace: str) -> None:
        server = self.broken(servers_dir / namespace)
        with pytest.raises(ServerDidNotStart, match=rf"(?s)ended with exit code \d.*{self.complaint}"):
            server.start()
        assert not server.running
        with pytest.raises(ServerDidNotStart):  # and not: in use
            server.start()


class TestKafka(ServerContract):
    kind = Kafka
    complaint = "Invalid value nonsense"

    async def write(self, server: Server, story: str, text: str) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=server.settings()["kafka"])
        await admin.start()
        await admin.create_topics([NewTopic(story, 1, 1)])
        await admin.close()
        async with AIOKafkaProducer(bootstrap_servers=server.settings()["kafka"], acks="all") as producer:
            await producer.send_and_wait(story, text.encode())

    async def read(self, server: Server, story: str) -> list[str]:
        partition = TopicPartition(story, 0)
        async with AIOKafkaConsumer(bootstrap_servers=server.settings()["kafka"]) as consumer:
            consumer.assign([partition])
            end = (await consumer.end_offsets([partition]))[partition]
            consumer.seek(partition, 0)
            async with asyncio.timeout(20):
                return [(await consumer.getone()).value.decode() for _ in range(end)]

    def broken(self, directory: Path) -> Server:
        return Kafka(directory, {"num.network.threads": "nonsense"})

    async def test_it_takes_a_record_of_40_mb_and_creates_no_topics(self, server: Server) -> None:
        bootstrap, record = server.settings()["kafka"], os.urandom(40_000_000)
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        settings = {"max.message.bytes": "44000000"}
        await admin.create_topics([NewTopic("large", 1, 1, topic_configs=settings)])
        async with AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=41_000_000) as producer:
            await producer.send_and_wait("large", record)
        async with AIOKafkaConsumer(
            "large", bootstrap_servers=bootstrap, auto_offset_reset="earliest", group_id="readers"
        ) as consumer:
            async with asyncio.timeout(30):
                assert (await consumer.getone()).value == record
        await admin.describe_topics(["never-made"])
        assert "never-made" not in await admin.list_topics()
        await admin.close()


class TestPostgres(ServerContract):
    kind = Postgres
    complaint = "invalid value for parameter"

    async def write(self, server: Server, story: str, text: str) -> None:
        connection = await asyncpg.connect(server.settings()["timescale_dsn"])
        await connection.execute(f"CREATE TABLE IF NOT EXISTS {story} (id serial, line text)")
        await connection.execute(f"INSERT INTO {story} (line) VALUES ($1)", text)
        await connection.close()

    async def read(self, server: Server, story: str) -> list[str]:
        connection = await asyncpg.connect(server.settings()["timescale_dsn"])
        rows = await connection.fetch(f"SELECT line FROM {story} ORDER BY id")
        await connection.close()
        return [row["line"] for row in rows]

    def broken(self, directory: Path) -> Server:
        return Postgres(directory, {"shared_buffers": "nonsense"})

    async def test_only_its_own_password_opens_it(self, server: Server) -> None:
        dsn = server.settings()["timescale_dsn"]
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(dsn, password="wrong")
        assert (server.directory / "password").stat().st_mode & 0o077 == 0


class TestBigQuery(ServerContract):
    kind = BigQuery
    complaint = "not a valid DuckDB database file"

    def client(self, server: Server) -> google.Client:
        settings = server.settings()
        return google.Client(
            project=settings["bigquery_project"],
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options=ClientOptions(api_endpoint=settings["bigquery_rest"]),
        )

    async def write(self, server: Server, story: str, text: str) -> None:
        with self.client(server) as client:
            client.create_dataset(story, exists_ok=True, timeout=20)
            schema = [google.SchemaField("line", "STRING")]
            client.create_table(google.Table(f"sigstream.{story}.lines", schema), exists_ok=True, timeout=20)
            assert client.insert_rows_json(f"sigstream.{story}.lines", [{"line": text}], timeout=20) == []

    async def read(self, server: Server, story: str) -> list[str]:
        with self.client(server) as client:
            rows = client.query(f"SELECT line FROM {story}.lines ORDER BY line", timeout=20).result(
                timeout=20
            )
            return [row["line"] for row in rows]

    def broken(self, directory: Path) -> Server:
        (directory / "data").mkdir(parents=True)
        (directory / "data" / "bqemulator.duckdb").write_text("nonsense " * 2000)
        return BigQuery(directory)


def test_several_start_at_once_and_one_that_fails_stops_the_others(servers_dir: Path, namespace: str) -> None:
    base = servers_dir / namespace
    servers: list[Server] = [Kafka(base / "kafka"), Postgres(base / "postgres"), BigQuery(base / "bigquery")]
    start_all(servers)
    assert [server.running for server in servers] == [True, True, True]
    stop_all(servers)
    servers[1] = Postgres(base / "postgres", {"shared_buffers": "nonsense"})
    with pytest.raises(ServerDidNotStart):
        start_all(servers)
    assert [server.running for server in servers] == [False, False, False]


def test_a_port_that_somebody_took_is_replaced(servers_dir: Path, namespace: str) -> None:
    first = Postgres(servers_dir / f"{namespace}-1")
    first.start()
    with Postgres(servers_dir / f"{namespace}-2") as second:
        (first.directory / "ports.json").write_text(f'{{"postgres": {second.ports["postgres"]}}}')
        first.stop()
        first.start()
        assert first.ports["postgres"] != second.ports["postgres"]
        first.stop()


def test_a_server_that_hangs_is_killed(servers_dir: Path, namespace: str) -> None:
    class Impatient(Postgres):
        stop_timeout_s = 0.5

    server = Impatient(servers_dir / namespace)
    server.start()
    os.kill(server.pid, signal.SIGSTOP)
    server.stop()
    assert not server.running


def kill_parent_of(kind: type[Server], directory: Path) -> int:
    """Have another process start a server, kill that process, and give the server's number."""
    code = PARENT.format(module=kind.__module__.rpartition(".")[2], kind=kind.__name__)
    command = [sys.executable, "-c", code, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = next(int(line) for line in parent.stdout if line.strip().isdigit())
        assert is_alive(pid)
        parent.kill()
    return pid


def is_alive(pid: int) -> bool:
    """Not as a zombie: in a container, nobody may collect those."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
