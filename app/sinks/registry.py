"""The sinks that the product has, by name."""

from collections.abc import Callable

from app.config import Settings
from app.errors import ConfigurationError
from app.sinks.base import Sink

# Clients of stores are imported only where they run: BigQuery's alone takes a second.


def bigquery(config: Settings) -> Sink:
    """BigQuery, exactly once."""
    from app.sinks.bigquery import BigQueryConfig, BigQuerySink

    return BigQuerySink(BigQueryConfig.of(config))


def sqlite(config: Settings) -> Sink:
    """A file on this machine."""
    from app.sinks.sqlite import SqliteConfig, SqliteSink

    return SqliteSink(SqliteConfig.of(config))


def timescale(config: Settings) -> Sink:
    """TimescaleDB or plain PostgreSQL."""
    from app.sinks.timescale import TimescaleConfig, TimescaleSink

    return TimescaleSink(TimescaleConfig.of(config))


SINKS: dict[str, Callable[[Settings], Sink]] = {
    "bigquery": bigquery,
    "sqlite": sqlite,
    "timescale": timescale,
}


def build(name: str, config: Settings) -> Sink:
    """The sink of that name. Raises ConfigurationError."""
    if name not in SINKS:
        raise ConfigurationError(f"there is no sink {name!r}: choose one of {', '.join(SINKS)}")
    return SINKS[name](config)
