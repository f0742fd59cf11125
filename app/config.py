"""Every setting, read from `SIGSTREAM_*` variables of the environment, or else of a file."""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar

import orjson
from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from app.errors import ConfigurationError
from app.setting_errors import unreadable, wrong_values
from app.settings_file import PREFIX, read_settings_file

NAMESPACE = "[a-zA-Z0-9_-]{1,80}"
"""What a namespace looks like."""
SERVERS_FILE = "servers.json"
"""Written into `data_dir` by `sigstream up`: addresses of the embedded servers, in settings' names."""

EXAMPLE = """'{"whale": {"tiers_btc": [50, 500]}}'"""
"""Of `processor_params`, as a shell or a .env file takes it."""


T = TypeVar("T")
_RELOADED = object()
Reloadable = Annotated[T, _RELOADED]
"""A field that running workers take over when the settings file changes (docs/reload.md)."""


class Settings(BaseSettings):
    """Settings of all workers and commands; `SIGSTREAM_<FIELD>` in the environment sets a field."""

    model_config = SettingsConfigDict(
        env_prefix="SIGSTREAM_", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    config_file: Path = Path(".env")
    """Where settings are that the environment does not set, as lines `SIGSTREAM_<FIELD>=value`. Itself it is
    taken from the environment only."""
    namespace: str = Field(default="sigstream", pattern=f"^{NAMESPACE}$")
    """Prefix of topics and consumer groups; one namespace is a whole pipeline of its own."""
    data_dir: Path = Path(".sigstream")
    """Where embedded servers and workers keep their files."""
    secrets_dir: Path | None = None
    """A directory with files named like the variables in lower case (`sigstream_timescale_dsn`), as
    Docker's /run/secrets: what the environment and `.env` don't set is read from there."""

    kafka: str | None = None
    """Bootstrap servers `host:port[,host:port]`; unset: the embedded Kafka of `sigstream up`."""
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """As the listener at `kafka` has it: TLS with SSL, a login with SASL (docs/security.md)."""
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    """How the login is proved; with PLAIN the password itself goes to the broker."""
    kafka_sasl_username: str | None = None
    """User of the login, ..."""
    kafka_sasl_password: SecretStr = SecretStr("")
    """... and the password."""
    kafka_ssl_cafile: Path | None = None
    """PEM file of the CAs that brokers' certificates are checked with; unset: the system's."""
    kafka_ssl_certfile: Path | None = None
    """PEM file of this client's certificate, where the listener asks for one, ..."""
    kafka_ssl_keyfile: Path | None = None
    """... and of its key, if that is in a file of its own."""
    replication_factor: PositiveInt = 1
    """Of topics that the product creates; 3 in production."""
    signal_partitions: PositiveInt = 8
    """Of signals.raw, signals and the topics behind them. Never change it within a namespace."""
    block_partitions: PositiveInt = 4
    """Of the `blocks` topic."""

    sinks: Annotated[tuple[str, ...], NoDecode] = ()
    """Sinks every signal must reach (`required-sinks`), comma separated; unset: sqlite, and timescale
    and bigquery where their address is set."""
    sink_batch_signals: Reloadable[PositiveInt] = 5000
    """A sink writes once it holds this many signals, ..."""
    sink_batch_bytes: Reloadable[PositiveInt] = 4_000_000
    """... or this many bytes of records, ..."""
    sink_batch_age_ms: Reloadable[PositiveInt] = 200
    """... or when its oldest record has waited this long, ..."""
    sink_batch_idle_ms: Reloadable[PositiveInt] = 20
    """... or when no record has come for this long: at a calm pace nothing is gained by waiting."""
    sink_retry_cap_s: Reloadable[PositiveFloat] = 30.0
    """Longest pause between two tries at a server that is down: 1, 2, 4 ... up to this."""

    timescale_dsn: SecretStr | None = None
    """`postgresql://user:password@host:port/database`; unset: the embedded PostgreSQL of `sigstream up`."""
    timescale_batch_threshold: Reloadable[PositiveInt] = 1000
    """Rows from which a batch goes by COPY and merge; below, by `unnest`."""
    bigquery_project: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9.:-]{0,90}$")
    """Google Cloud project; unset: the embedded emulator of `sigstream up`."""
    bigquery_dataset: str = Field(default="intel", pattern=r"^[A-Za-z0-9_]{1,1024}$")
    """Letters, digits and underscores, as BigQuery has it; made where it is missing."""
    bigquery_table: str = Field(default="signals", pattern=r"^[A-Za-z0-9_-]{1,1000}$")
    """Letters, digits, underscores and dashes; the view is named after it."""
    bigquery_rest: str | None = None
    """`http://host:port` of a BigQuery emulator's REST API; unset: Google's."""
    bigquery_grpc: str | None = None
    """`host:port` of a BigQuery emulator's Storage API; unset: Google's."""
    sqlite_path: Path | None = None
    """Database file; unset: `signals.db` in `data_dir`."""

    dedupe_store: Literal["rocksdb", "memory"] = "rocksdb"
    """Where Faust tables live: on disk, or in memory (rebuilt from the changelog at every start)."""
    dedupe_expiry_days: PositiveFloat = 30.0
    """A key that nobody touched for this long is forgotten."""
    uppercase_symbols: bool = False
    """Write `spy` as `SPY` instead of refusing it."""

    dlq_max_attempts: PositiveInt = 3
    """A dead letter that was replayed so often, and came back each time, is not replayed any more."""

    gap_wait_s: Reloadable[PositiveFloat] = 10.0
    """Without a block of the chain for this long, a gap in its heights is passed, ..."""
    gap_blocks: Reloadable[PositiveInt] = 2000
    """... or once so many blocks wait behind it."""
    first_height: NonNegativeInt = 0
    """Height of a chain's first block: below it nothing is waited for."""
    emit_from_height: NonNegativeInt = 0
    """Blocks below are computed and remembered, but their signals are not sent: they only warm up."""
    versions_from: NonNegativeInt | None = None
    """Versions of block signals count from here on, instead of being the broker's time; what decides
    whether a backfill or the live pipeline wins (docs/backfill.md)."""
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """Where a worker serves its metrics to Prometheus, on all addresses; 0: nowhere."""
    processors: Reloadable[Annotated[tuple[str, ...], NoDecode]] = (
        *("mempool", "miner", "whale", "exchange", "treasury"),
        "predictive",
    )
    """Processors that compute signals from blocks, comma separated; entry points of the group
    `sigstream.processors`."""
    processor_params: Reloadable[Annotated[dict[str, dict[str, Any]], NoDecode]] = Field(default_factory=dict)
    """Parameters by processor, JSON: `{"whale": {"tiers_btc": [50, 500]}}`."""
    processor_budget_s: Reloadable[PositiveFloat] = 1.0
    """A processor's time for one block; one that takes longer is left out."""
    labels: Reloadable[Annotated[tuple[Path, ...], NoDecode]] = ()
    """Files that say who owns an address (`pools-v2.json`, TagPacks in YAML, CSV), comma separated; beside
    the built-in ones."""

    core_url: str = Field(default="http://127.0.0.1:8332", repr=False)
    """JSON-RPC of a Bitcoin Core node, without user and password."""
    core_cookie_file: Path = Path("~/.bitcoin/.cookie")
    """The file with the login that the node makes at each start; used unless `core_user` is set."""
    core_user: str | None = None
    """User of the node's `rpcauth` or `rpcuser`, ..."""
    core_password: SecretStr = SecretStr("")
    """... and the password."""
    core_in_flight: PositiveInt = 3
    """Blocks asked for at once; the node's `rpcworkqueue` (16) and memory (a block's JSON may have 20 MB)
    limit it."""
    core_timeout_s: PositiveFloat = 60.0
    """Longest wait for one answer of the node."""
    source_retry_s: PositiveFloat = 60.0
    """How long a request to a node or an Esplora server that fails in passing is tried again."""

    log_format: Literal["console", "json"] = "console"
    log_level: Reloadable[Literal["debug", "info", "warning", "error"]] = "info"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, the environment, `.env`, and the files of `secrets_dir`, which one of these names."""
        given = (init_settings, env_settings, dotenv_settings)
        named = next((found for source in given if (found := source().get("secrets_dir"))), None)
        if named is None:
            return given
        if not Path(named).is_dir():
            raise ConfigurationError(
                f"SIGSTREAM_SECRETS_DIR is {str(named)!r}: no such directory; make it, or unset the variable"
            )
        return *given, SecretsSettingsSource(settings_cls, named)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's, which takes an update as it is; here secrets stay secrets."""
        found = {key: _hidden(value) if key in SECRETS else value for key, value in (update or {}).items()}
        return super().model_copy(update=found, deep=deep)

    @field_validator("sinks", "processors", "labels", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("kafka")
    @classmethod
    def _without_login(cls, value: str | None) -> str | None:
        """Addresses are shown in messages."""
        if value and "@" in value:
            raise PydanticCustomError(
                "login",
                "it holds a user or a password: put them into SIGSTREAM_KAFKA_SASL_USERNAME and "
                "SIGSTREAM_KAFKA_SASL_PASSWORD",
            )
        return value

    @field_validator("processor_params", mode="before")
    @classmethod
    def _from_json(cls, value: object) -> object:
        # Decoded here and not by pydantic-settings 2, whose SettingsError says neither the variable nor
        # what it held (tests/unit/test_config.py).
        try:
            found = orjson.loads(value) if isinstance(value, str) else value
        except orjson.JSONDecodeError as error:
            raise _no_object(f"not JSON ({error})") from None
        if not isinstance(found, dict):
            raise _no_object("no JSON object")
        return found

    @property
    def required_sinks(self) -> tuple[str, ...]:
        """Names of the sinks that must answer for every signal, sorted."""
        if self.sinks:
            return tuple(sorted(set(self.sinks)))
        found = ["sqlite"]
        if self.timescale_dsn:
            found.append("timescale")
        if self.bigquery_project:
            found.append("bigquery")
        return tuple(sorted(found))

    @property
    def sqlite_file(self) -> Path:
        """The SQLite sink's database file."""
        return self.sqlite_path or self.data_dir / "signals.db"

    def topic(self, name: str) -> str:
        """Full name of a topic: `<namespace>.<name>`."""
        return f"{self.namespace}.{name}"

    def group(self, stage: str) -> str:
        """Consumer group of a stage (`dedupe`, `sink.timescale`): `<namespace>.<stage>`."""
        return f"{self.namespace}.{stage}"

    def need_kafka(self) -> str:
        """Bootstrap servers. Raises ConfigurationError when there are none."""
        if self.kafka:
            return self.kafka
        raise ConfigurationError(
            f"no Kafka: SIGSTREAM_KAFKA is not set and no embedded servers run on {self.data_dir}/: "
            "start `sigstream up` in another terminal, or set SIGSTREAM_KAFKA=host:port"
        )


SECRETS = frozenset(
    name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)
)
"""Fields whose values no message shows."""


def _hidden(value: Any) -> Any:
    return SecretStr(value) if isinstance(value, str) else value


def plain(value: Any) -> Any:
    """What a setting holds, out of its wrapping where it is a secret."""
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _no_object(what: str) -> PydanticCustomError:
    return PydanticCustomError(
        "json_object", "{what}: write an object by processor, {example}", {"what": what, "example": EXAMPLE}
    )


def variables(settings: Settings) -> dict[str, str]:
    """The settings that are set, secrets too, as variables of the environment."""
    values = settings.model_dump(exclude_unset=True)
    return {variable(key): as_text(value) for key, value in values.items() if value is not None}


def as_text(value: Any) -> str:
    """A value as the environment or the file holds it, secrets too."""
    value = plain(value)
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return orjson.dumps(value).decode() if isinstance(value, dict) else str(value)


RELOADABLE = frozenset(name for name, field in Settings.model_fields.items() if _RELOADED in field.metadata)


class Loaded(NamedTuple):
    """Settings, and where they come from."""

    settings: Settings
    file: frozenset[str]
    """Fields that the file sets, or tries to."""
    shadowed: tuple[str, ...]
    """Fields that the file sets to one thing and the environment, which goes first, to another."""


@cache
def settings() -> Settings:
    """The process's settings; addresses that are not set come from the running `sigstream up`.

    Raises ConfigurationError that names the variable and what it held.
    """
    return load_settings().settings


def load_settings() -> Loaded:
    """The settings as environment and file are now. Raises ConfigurationError."""
    said = read_settings_file(settings_path())
    known: dict[str, Any] = {name: said[name] for name in said if name in Settings.model_fields}
    try:
        wished = Settings(**known)  # arguments go before the environment
        found = Settings(**{name: text for name, text in known.items() if not in_environment(name)})
    except ValidationError as error:
        raise wrong_values(error, SECRETS) from None
    except (SettingsError, OSError, UnicodeDecodeError) as error:
        raise unreadable(error) from None
    shadowed = tuple(name for name in known if getattr(wished, name) != getattr(found, name))
    return Loaded(_with_servers(found), frozenset(said), tuple(sorted(shadowed)))


def settings_path() -> Path:
    """The settings file. Raises ConfigurationError for one that is named and not there."""
    name = os.environ.get("SIGSTREAM_CONFIG_FILE")
    path = Path(name) if name else Settings.model_fields["config_file"].default
    assert isinstance(path, Path)
    if name and not path.exists():
        raise ConfigurationError(f"SIGSTREAM_CONFIG_FILE is {name!r}: there is no such file")
    return path


def in_environment(field: str) -> bool:
    """Whether the environment sets it: then the file does not."""
    return any(name.lower() == PREFIX + field for name in os.environ)


def _with_servers(found: Settings) -> Settings:
    file = found.data_dir / SERVERS_FILE
    if not file.exists():
        return found
    running = {k: v for k, v in orjson.loads(file.read_bytes()).items() if getattr(found, k, None) is None}
    return found.model_copy(update=running)


def variable(field: str) -> str:
    """Its name in the environment and in the file."""
    return f"SIGSTREAM_{field.upper()}"
