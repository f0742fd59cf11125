"""Every setting, read from `SIGSTREAM_*` variables of the environment or a `.env` file."""

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

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
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.errors import ConfigurationError

NAMESPACE = "[a-zA-Z0-9_-]{1,80}"
"""What a namespace looks like."""
SERVERS_FILE = "servers.json"
"""Written into `data_dir` by `sigstream up`: addresses of the embedded servers, in settings' names."""

EXAMPLE = """'{"whale": {"tiers_btc": [50, 500]}}'"""
"""Of `processor_params`, as a shell or a .env file takes it."""


class Settings(BaseSettings):
    """Settings of all workers and commands; `SIGSTREAM_<FIELD>` in the environment sets a field."""

    model_config = SettingsConfigDict(env_prefix="SIGSTREAM_", env_file=".env", extra="ignore", frozen=True)

    namespace: str = Field(default="sigstream", pattern=f"^{NAMESPACE}$")
    """Prefix of topics and consumer groups; one namespace is a whole pipeline of its own."""
    data_dir: Path = Path(".sigstream")
    """Where embedded servers and workers keep their files."""

    kafka: str | None = None
    """Bootstrap servers `host:port[,host:port]`; unset: the embedded Kafka of `sigstream up`."""
    replication_factor: PositiveInt = 1
    """Of topics that the product creates; 3 in production."""
    signal_partitions: PositiveInt = 8
    """Of signals.raw, signals and the topics behind them. Never change it within a namespace."""
    block_partitions: PositiveInt = 4
    """Of the `blocks` topic."""

    sinks: Annotated[tuple[str, ...], NoDecode] = ()
    """Sinks every signal must reach (`required-sinks`), comma separated; unset: sqlite, and timescale
    and bigquery where their address is set."""
    sink_batch_signals: PositiveInt = 5000
    """A sink writes once it holds this many signals, ..."""
    sink_batch_bytes: PositiveInt = 4_000_000
    """... or this many bytes of records, ..."""
    sink_batch_age_ms: PositiveInt = 200
    """... or when its oldest record has waited this long, ..."""
    sink_batch_idle_ms: PositiveInt = 20
    """... or when no record has come for this long: at a calm pace nothing is gained by waiting."""
    sink_retry_cap_s: PositiveFloat = 30.0
    """Longest pause between two tries at a server that is down: 1, 2, 4 ... up to this."""

    timescale_dsn: str | None = None
    """`postgresql://user:password@host:port/database`; unset: the embedded PostgreSQL of `sigstream up`."""
    timescale_batch_threshold: PositiveInt = 1000
    """Rows from which a batch goes by COPY and merge; below, by `unnest`."""
    bigquery_project: str | None = None
    """Google Cloud project; unset: the embedded emulator of `sigstream up`."""
    bigquery_dataset: str = "intel"
    bigquery_table: str = "signals"
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

    gap_wait_s: PositiveFloat = 10.0
    """Without a block of the chain for this long, a gap in its heights is passed, ..."""
    gap_blocks: PositiveInt = 2000
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
    processors: Annotated[tuple[str, ...], NoDecode] = (
        *("mempool", "miner", "whale", "exchange", "treasury"),
        "predictive",
    )
    """Processors that compute signals from blocks, comma separated; entry points of the group
    `sigstream.processors`."""
    processor_params: Annotated[dict[str, dict[str, Any]], NoDecode] = Field(default_factory=dict)
    """Parameters by processor, JSON: `{"whale": {"tiers_btc": [50, 500]}}`."""
    processor_budget_s: PositiveFloat = 1.0
    """A processor's time for one block; one that takes longer is left out."""
    labels: Annotated[tuple[Path, ...], NoDecode] = ()
    """Files that say who owns an address (`pools-v2.json`, TagPacks in YAML, CSV), comma separated; beside
    the built-in ones."""

    core_url: str = "http://127.0.0.1:8332"
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
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("sinks", "processors", "labels", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
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


def _no_object(what: str) -> PydanticCustomError:
    return PydanticCustomError(
        "json_object", "{what}: write an object by processor, {example}", {"what": what, "example": EXAMPLE}
    )


def variables(settings: Settings) -> dict[str, str]:
    """The settings that are set, secrets too, as variables of the environment."""
    values = settings.model_dump(exclude_unset=True)
    return {f"SIGSTREAM_{key.upper()}": _text(value) for key, value in values.items() if value is not None}


def _text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return orjson.dumps(value).decode() if isinstance(value, dict) else str(value)


@cache
def settings() -> Settings:
    """The process's settings; addresses that are not set come from the running `sigstream up`.

    Raises ConfigurationError that names the variable and what it held.
    """
    try:
        return _load()
    except ValidationError as error:
        raise ConfigurationError("; ".join(map(_explain, error.errors()))) from None


def _load() -> Settings:
    found = Settings()
    file = found.data_dir / SERVERS_FILE
    if not file.exists():
        return found
    running = {k: v for k, v in orjson.loads(file.read_bytes()).items() if getattr(found, k, None) is None}
    return Settings(**{**found.model_dump(exclude_unset=True), **running})


def _explain(error: Any) -> str:
    name = "_".join(str(part) for part in error["loc"][:1]).upper()
    return f"SIGSTREAM_{name} is {error['input']!r}: {error['msg']}"
