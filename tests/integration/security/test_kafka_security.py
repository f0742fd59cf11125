"""Kafka behind TLS and logins: the whole pipeline over it, and what is said when something does not fit."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.config import Settings
from app.embedded.bigquery import BigQuery
from app.embedded.postgres import Postgres
from app.errors import SigstreamError
from app.streaming.topics import ensure_topics, pipeline_topics
from tests.support.certificates import Authority
from tests.support.cli import Cli
from tests.support.pipeline import running, view, with_stores
from tests.support.probe import until
from tests.support.processes import sigstream, worker
from tests.support.secure_kafka import MECHANISMS, PASSWORD, SecureKafka
from tests.support.stores import BigQueryStore, PostgresStore, SqliteStore

BLOCKS = 3


@pytest.fixture(scope="module")
def secure(servers_dir: Path) -> Iterator[SecureKafka]:
    with SecureKafka(servers_dir / "secure-kafka") as server:
        yield server


@pytest.fixture
def settings(secure: SecureKafka, namespace: str, tmp_path: Path) -> Settings:
    """Of the SASL_SSL listener."""
    own: dict[str, Any] = {"namespace": namespace, "data_dir": tmp_path, "sinks": "sqlite"}
    return Settings(_env_file=None, **own, **secure.settings())


async def test_blocks_go_all_the_way_over_sasl_ssl(
    settings: Settings, postgres: Postgres, bigquery: BigQuery
) -> None:
    everything = settings.model_copy(update={"sinks": ("bigquery", "sqlite", "timescale")})
    settings, stores = await with_stores(
        everything, [SqliteStore(), PostgresStore(postgres), BigQueryStore(bigquery)]
    )
    await ensure_topics(settings, pipeline_topics(settings))
    with running(settings, stores) as pipeline:
        async with view(pipeline) as pipe:
            await asyncio.to_thread(sigstream, settings, "ingest", "simulate", "--blocks", str(BLOCKS))

            async def stored() -> bool:
                return all([await store.count("sigstream") > 0 for store in stores.values()])

            await pipe.until(stored, "signals in every store")
            await pipe.at_rest()
            assert await pipe.seen.of("signals.settled")
            assert await pipe.seen.of("dead-letters") == []
    for command in ("status", "verify"):
        assert await asyncio.to_thread(sigstream, settings, command)
    for log in settings.data_dir.glob("*.log"):
        assert PASSWORD not in log.read_text(), log.name


Change = dict[str, Any]


def at(secure: SecureKafka, protocol: str, **change: Any) -> Change:
    """The server's settings, at another of its listeners."""
    return {**secure.settings(), "kafka": secure.at(protocol), "kafka_security_protocol": protocol, **change}


def without_login(secure: SecureKafka, protocol: str, listener: str) -> Change:
    tls = {"kafka_ssl_cafile": secure.authority.file} if protocol == "SSL" else {}
    return {"kafka": secure.at(listener), "kafka_security_protocol": protocol, **tls}


def made(settings: Settings, change: Change) -> Settings:
    own: dict[str, Any] = {"namespace": settings.namespace, "data_dir": settings.data_dir, "sinks": "sqlite"}
    return Settings(_env_file=None, **own, **change)


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("protocol", ["SASL_SSL", "SASL_PLAINTEXT"])
async def test_every_mechanism_logs_in(
    secure: SecureKafka, settings: Settings, protocol: str, mechanism: str
) -> None:
    ca = secure.authority.file if protocol == "SASL_SSL" else None
    change = at(secure, protocol, kafka_sasl_mechanism=mechanism, kafka_ssl_cafile=ca)
    await ensure_topics(made(settings, change), ())


async def test_a_certificate_of_our_own_is_shown(secure: SecureKafka, settings: Settings) -> None:
    certificate, key = secure.authority.issue("client")
    change = without_login(secure, "SSL", "SSL")
    own = {"kafka_ssl_certfile": certificate, "kafka_ssl_keyfile": key}
    await ensure_topics(made(settings, {**change, **own}), ())
    with pytest.raises(SigstreamError, match="SIGSTREAM_KAFKA_SSL_CERTFILE"):
        await ensure_topics(made(settings, change), ())


def wrong(secure: SecureKafka, directory: Path) -> dict[str, tuple[Change, str]]:
    """What is wrong -> settings, and what is said about it."""
    right, somebody = secure.settings(), Authority(directory, "somebody's CA")
    untrusted = f"Kafka at {secure.bootstrap} shows a certificate that is not trusted"
    where = f"Kafka at {secure.bootstrap}"
    return {
        "password": (
            {**right, "kafka_sasl_password": WRONG},
            f"{where} refuses user 'alice' by SCRAM",
        ),
        "CA": (
            {**right, "kafka_ssl_cafile": somebody.file},
            untrusted,
        ),
        "no TLS": (without_login(secure, "PLAINTEXT", "SASL_SSL"), f"{where} closes the connection"),
        "no login": (without_login(secure, "SSL", "SASL_SSL"), f"{where} closes the connection"),
        "TLS to nobody": (
            at(secure, "SASL_SSL", kafka=secure.at("SASL_PLAINTEXT")),
            f"Kafka at {secure.at('SASL_PLAINTEXT')} closes the connection",
        ),
    }


WRONG = "pw-wrong-51ab"
CASES = ("password", "CA", "no TLS", "no login", "TLS to nobody")


@pytest.mark.parametrize("case", CASES)
def test_a_command_says_what_is_wrong(
    cli: Cli, secure: SecureKafka, settings: Settings, tmp_path: Path, case: str
) -> None:
    change, says = wrong(secure, tmp_path / "pki")[case]
    cli.use(made(settings, change))
    result = cli("status")
    assert result.exit_code == 1
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert PASSWORD not in result.output
    assert WRONG not in result.output


@pytest.mark.parametrize(
    ("name", "case"),
    [(("dedupe",), "password"), (("sink", "sqlite"), "CA"), (("sink", "sqlite"), "no TLS")],
)
async def test_a_worker_says_what_is_wrong_and_ends(
    secure: SecureKafka, settings: Settings, tmp_path: Path, name: tuple[str, ...], case: str
) -> None:
    change, says = wrong(secure, tmp_path / "pki")[case]
    with worker(made(settings, {**change, "log_level": "debug"}), *name) as running_one:

        async def ended() -> bool:
            return running_one.returncode is not None

        await until(ended, "the worker's end", log=lambda: running_one.log)
        assert running_one.returncode == 1, running_one.log
        last = running_one.log.splitlines()[-1]
        assert says in last
        assert "Traceback" not in running_one.log
        assert PASSWORD not in running_one.log
        assert WRONG not in running_one.log


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kafka_security_protocol": "SASL_SSL"}, "SIGSTREAM_KAFKA_SASL_USERNAME is not set"),
        (
            {"kafka_security_protocol": "SASL_SSL", "kafka_sasl_username": "u"},
            "SIGSTREAM_KAFKA_SASL_PASSWORD is not set",
        ),
        ({"kafka_sasl_username": "u", "kafka_sasl_password": WRONG}, "set it to SASL_SSL, or unset"),
        ({"kafka_ssl_cafile": "ca.pem"}, "without TLS: set it to SSL or SASL_SSL"),
        ({"kafka_security_protocol": "SSL", "kafka_ssl_cafile": "no.pem"}, "name a readable PEM file"),
    ],
)
def test_settings_that_contradict_each_other(cli: Cli, change: Change, says: str) -> None:
    cli.use(Settings(_env_file=None, kafka="127.0.0.1:1", **change))
    for command in (("status",), ("worker", "dedupe"), ("ingest", "simulate", "--blocks", "1")):
        result = cli(*command)
        assert result.exit_code == 1
        assert says in result.stderr
        assert result.stderr.count("\n") == 1
        assert WRONG not in result.output
