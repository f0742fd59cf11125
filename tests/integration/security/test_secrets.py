"""Recognisable secrets, servers that fail, logs at debug: the secrets turn up nowhere."""

import asyncio
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from app.config import Settings
from app.embedded.postgres import Postgres
from app.errors import ConfigurationError
from app.sinks.bigquery import BigQueryConfig, BigQuerySink
from tests.support.core_double import CoreDouble
from tests.support.probe import until
from tests.support.processes import ROOT, environment, worker
from tests.support.real_blocks import REAL_BLOCKS

SECRETS = {"core": "pw-Core-1f20c3", "kafka": "pw-Kafka-77d1e0", "postgres": "pw-Postgres-93ab54"}


def assert_silent(text: str) -> None:
    """None of the secrets is in it."""
    found = [name for name, secret in SECRETS.items() if secret in text]
    assert not found, text


def failing(settings: Settings, dsn: str, core_url: str) -> Settings:
    """Every secret is set, and every login is wrong; PostgreSQL's by its password."""
    parts = urlsplit(dsn)
    wrong = f"{parts.username}:{SECRETS['postgres']}@{parts.netloc.rpartition('@')[2]}"
    return settings.model_copy(
        update={
            "timescale_dsn": parts._replace(netloc=wrong).geturl(),
            "core_url": core_url,
            "core_user": "alice",
            "core_password": SECRETS["core"],
            "source_retry_s": 1.0,
            "log_level": "debug",
            "sinks": ("timescale",),
        }
    )


def with_kafka_login(settings: Settings) -> Settings:
    """A login that a broker without one knows nothing of."""
    update = {
        "kafka_security_protocol": "SASL_PLAINTEXT",
        "kafka_sasl_username": "alice",
        "kafka_sasl_password": SECRETS["kafka"],
    }
    return settings.model_copy(update=update)


async def run(settings: Settings, *arguments: str) -> tuple[int, str]:
    """Exit code and all output of a command in a process of its own."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-X", "dev", "-W", "ignore", "-m", "app.main", *arguments],
        env=environment(settings),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("signals", "--store", "timescale"), "28P01"),
        (("migrate",), "28P01"),
        (("worker", "sink", "timescale"), "28P01"),
        (("ingest", "core", "--from", "1"), "refuses the login by SIGSTREAM_CORE_USER"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
async def test_who_is_refused_does_not_tell_the_password(
    settings: Settings, postgres: Postgres, arguments: tuple[str, ...], says: str
) -> None:
    with CoreDouble(REAL_BLOCKS) as node:
        code, output = await run(failing(settings, postgres.dsn, node.url), *arguments)
    assert code == 1, output
    assert says in output
    assert "Traceback" not in output
    assert_silent(output)


@pytest.mark.parametrize("arguments", [("status",), ("worker", "receipts")], ids=" ".join)
async def test_a_broker_that_refuses_is_not_answered_with_the_password(
    settings: Settings, postgres: Postgres, arguments: tuple[str, ...]
) -> None:
    code, output = await run(with_kafka_login(failing(settings, postgres.dsn, "http://h")), *arguments)
    assert code == 1, output
    assert "SIGSTREAM_KAFKA_SECURITY_PROTOCOL is SASL_PLAINTEXT" in " ".join(output.split())
    assert_silent(output)


async def test_a_worker_that_works_tells_nobody(
    settings: Settings, database: str, free_port: int, tmp_path: Path
) -> None:
    """Neither by its log, nor by its metrics, nor by its command line."""
    secret = str(urlsplit(database).password)
    config = settings.model_copy(
        update={
            "timescale_dsn": database,
            "core_password": SECRETS["core"],
            "metrics_port": free_port,
            "log_level": "debug",
        }
    )
    with worker(config, "sink", "timescale") as running:
        async with httpx.AsyncClient() as http:

            async def metrics() -> str:
                try:
                    return (await http.get(f"http://127.0.0.1:{free_port}/metrics")).text
                except httpx.TransportError:
                    return ""

            told = await until(metrics, "the worker's metrics", log=lambda: running.log)
        arguments = command_line(running.pid)
        assert running.stop() == 0, running.log
    log = (settings.data_dir / "sink-timescale.log").read_text()
    assert "sink ready" in log
    for text in (told, arguments, log):
        assert secret not in text
        assert_silent(text)
    assert holding(secret, tmp_path) == []


def command_line(pid: int) -> str:
    """What every user of the machine may see of a process."""
    return Path(f"/proc/{pid}/cmdline").read_text()


def holding(secret: str, folder: Path) -> list[Path]:
    """Files below it that hold the secret."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return [file for file in files if secret.encode() in file.read_bytes()]


KEY = "pw-GoogleKey-55e0f1"


@pytest.mark.parametrize(
    "content",
    [
        None,
        KEY,
        f'{{"type": "service_account", "client_email": "a@b", "token_uri": "c", "private_key": "{KEY}"}}',
    ],
    ids=["no file", "no JSON", "no key"],
)
async def test_credentials_of_google_that_cant_be_used_are_named_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    file = tmp_path / "account.json"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    with pytest.raises(ConfigurationError, match="set GOOGLE_APPLICATION_CREDENTIALS, or run") as raised:
        await BigQuerySink(BigQueryConfig(project="somebody")).open()
    assert "account.json" in str(raised.value)
    assert KEY not in str(raised.value)
