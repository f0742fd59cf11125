"""signals -> stores: `python -m topologies.sinks NAME` runs one sink with a consumer group of its own."""

import asyncio
import signal
import sys
from functools import partial

import structlog
import uvloop

from app.config import settings
from app.errors import SigstreamError
from app.observe.logging import configure_logging
from app.reload import Reloader
from app.sinks.registry import build
from app.sinks.worker import SinkWorker
from app.streaming.slot import claim

log = structlog.get_logger()


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
