"""signals -> stores: `python -m topologies.sinks NAME` runs one sink with a consumer group of its own."""

import asyncio
import signal
import sys
from collections.abc import Callable
from functools import partial

import structlog
import uvloop

from app.config import Settings, settings
from app.errors import ConfigurationError, SigstreamError
from app.observe.logging import configure_logging
from app.reload import Reloader
from app.sinks.base import Sink
from app.sinks.worker import SinkWorker
from app.streaming.slot import claim

log = structlog.get_logger()

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


async def run(name: str) -> None:
    """Until SIGTERM or SIGINT: then what is read is written, answered and committed."""
    config = settings()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the reloader asks for it
    configure_logging(config, f"sink.{name}")
    worker = SinkWorker(build(name, config), config, claim(config.data_dir, config.group(f"sink.{name}")))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    reloader = Reloader(config)
    reloader.use(lambda changed: partial(worker.use, changed))
    watching = asyncio.create_task(reloader.watch())
    try:
        await worker.run()
    finally:
        watching.cancel()


def main() -> int:
    """Exit code 1 and one line for what somebody has to change."""
    try:
        uvloop.run(run(sys.argv[1] if len(sys.argv) > 1 else ""))
    except SigstreamError as error:
        log.critical("sink stops", error=type(error).__name__, reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
