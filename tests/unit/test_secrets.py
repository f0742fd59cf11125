"""Settings that nobody may see: where they may come from, and where they must not turn up."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from app.config import SECRETS, Settings, plain, settings, variables
from app.errors import ConfigurationError
from app.sinks.timescale import TimescaleConfig
from app.sinks.timescale.dsn import server_of
from app.streaming.app import _credentials

SECRET = "pw-Secret-0b77e1"
DSN = f"postgresql://writer:{SECRET}@db.example:5433/signals"
Load = Callable[[], Settings]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """`settings()` of an empty folder, read anew."""
    monkeypatch.chdir(tmp_path)
    return settings.__wrapped__


def all_secret() -> Settings:
    """Every secret set."""
    values: dict[str, Any] = {name: DSN if name == "timescale_dsn" else SECRET for name in SECRETS}
    values |= {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_sasl_username": "u"}
    return Settings(_env_file=None, **values)


def test_these_are_the_secrets() -> None:
    assert {"timescale_dsn", "core_password", "kafka_sasl_password"} == SECRETS


def test_no_representation_shows_a_secret() -> None:
    found = all_secret()
    copied = found.model_copy(update={"timescale_dsn": DSN, "core_password": SECRET})
    config = TimescaleConfig.of(copied)
    for one in (found, copied, config, _credentials(found)):
        assert SECRET not in repr(one) + str(one)
    assert SECRET not in str(found.model_dump()) + found.model_dump_json()
    assert plain(copied.timescale_dsn) == DSN
    assert server_of(config.dsn) == "PostgreSQL at db.example:5433/signals"


def test_children_get_them_by_their_environment() -> None:
    found = variables(all_secret())
    assert found["SIGSTREAM_TIMESCALE_DSN"] == DSN
    assert found["SIGSTREAM_KAFKA_SASL_PASSWORD"] == SECRET


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://writer:{SECRET}/more@db:5432/signals",
        f"postgresql://writer:123/{SECRET}@db:5432/signals",
        f"postgresql://writer:{SECRET}?more@db:5432/signals",
        f"postgresql://writer:{SECRET}#more@db:5432/signals",
        f"postgresql://writer:[{SECRET}@db:5432/signals",
        f"postgresql://db:{SECRET}/signals",
        f"writer:{SECRET}@db:5432/signals",
        f"mysql://writer:{SECRET}@db/signals",
        f"host=db user=writer password={SECRET}",
        SECRET,
    ],
)
def test_a_dsn_that_cant_be_read_is_not_shown(dsn: str) -> None:
    with pytest.raises(ConfigurationError, match="SIGSTREAM_TIMESCALE_DSN can't be used") as raised:
        TimescaleConfig.of(Settings(_env_file=None, timescale_dsn=dsn))
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        (f"postgres://w:{SECRET}@db/signals", "PostgreSQL at db/signals"),
        (
            f"postgresql://w:{SECRET}@a:1,b:2/signals?sslmode=require",
            "PostgreSQL at a:1,b:2/signals",
        ),
        (f"postgresql://w:{SECRET}@[::1]:5432/s", "PostgreSQL at [::1]:5432/s"),
        (f"postgresql:///s?user=w&password={SECRET}", "PostgreSQL at localhost/s"),
        (f"postgresql://w:a%40{SECRET}@db", "PostgreSQL at db"),
    ],
)
def test_a_dsn_is_shown_without_its_login(dsn: str, shown: str) -> None:
    assert server_of(SecretStr(dsn)) == shown


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SIGSTREAM_KAFKA", f"alice:{SECRET}@kafka:9092"),
        ("SIGSTREAM_SIGNAL_PARTITIONS", f"http://alice:{SECRET}@host"),
    ],
)
def test_a_wrong_value_that_may_hold_a_login_is_not_shown(
    load: Load, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=rf"{variable} is wrong \(not shown\): ") as raised:
        load()
    assert SECRET not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SIGSTREAM_BIGQUERY_DATASET", "intel`; DROP TABLE x"),
        ("SIGSTREAM_BIGQUERY_TABLE", "signals` WHERE false --"),
        ("SIGSTREAM_BIGQUERY_PROJECT", "p`"),
        ("SIGSTREAM_NAMESPACE", "a b"),
    ],
)
def test_names_that_go_into_sql_are_checked(
    load: Load, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=f"{variable} is .*match pattern"):
        load()


def test_secrets_are_read_from_files(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "sigstream_timescale_dsn").write_text(f"{DSN}\n")
    (folder / "sigstream_core_password").write_text("from a file\n")
    (folder / "another").write_text("of somebody else")
    monkeypatch.setenv("SIGSTREAM_SECRETS_DIR", str(folder))
    monkeypatch.setenv("SIGSTREAM_CORE_PASSWORD", "from the environment")
    found = load()
    assert plain(found.timescale_dsn) == DSN
    assert plain(found.core_password) == "from the environment"
    assert found.required_sinks == ("sqlite", "timescale")


def test_the_directory_may_be_named_in_a_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SIGSTREAM_SECRETS_DIR=.\n")
    (tmp_path / "sigstream_kafka_sasl_password").write_text(SECRET)
    assert plain(load().kafka_sasl_password) == SECRET


def test_a_directory_that_is_not_there_is_named(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGSTREAM_SECRETS_DIR", "/nowhere/secrets")
    with pytest.raises(ConfigurationError, match="SIGSTREAM_SECRETS_DIR is '/nowhere/secrets': no such"):
        load()


def test_a_file_that_is_no_text_is_named_without_its_content(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sigstream_core_password").write_bytes(b"\xff" + SECRET.encode())
    monkeypatch.setenv("SIGSTREAM_SECRETS_DIR", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r'"core_password".*not UTF-8') as raised:
        load()
    assert SECRET not in str(raised.value)
