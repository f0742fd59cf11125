"""`sigstream worker`: becomes the process of one worker.

The command replaces itself, so that signals, exit codes and the process id are the worker's own.
`-P` keeps folders named `app` or `topologies` in the working directory from standing in for the
product's.
"""

import os
import sys

from app.config import Settings
from app.errors import ConfigurationError
from app.kafka_client import client_options
from app.observe.metrics import check_port
from app.processors.registry import enabled_processors

AGENTS = ("blocks", "dedupe", "receipts")
"""Topology modules that are Faust apps."""
SINKS = ("bigquery", "sqlite", "timescale")
"""Sinks that the product has."""


def command_of(name: str, sink: str | None = None) -> list[str]:
    """The command of `worker NAME [SINK]`. Raises ConfigurationError for names that don't exist."""
    if name == "sink":
        return _sink(sink)
    if name not in AGENTS:
        raise ConfigurationError(f"there is no worker {name!r}: choose {', '.join(AGENTS)}, or sink NAME")
    if sink is not None:
        raise ConfigurationError(f"`worker {name}` takes nothing more, found {sink!r}: leave it out")
    return _agent(name)


def _agent(name: str) -> list[str]:
    loop = [] if sys.platform == "win32" else ["-L", "uvloop"]
    faust = [sys.executable, "-P", "-m", "faust", "-q", *loop, "-l", "warn"]
    return [*faust, "-A", f"topologies.{name}", "worker", "--without-web"]


def _sink(name: str | None) -> list[str]:
    if name not in SINKS:
        found = f"there is no sink {name!r}" if name else "`worker sink` needs the sink's name"
        raise ConfigurationError(f"{found}: choose {', '.join(SINKS)}")
    return [sys.executable, "-P", "-m", "topologies.sinks", name]


def become(command: list[str], settings: Settings) -> None:
    """Replace this process by `command`; never returns.

    Raises ConfigurationError without a Kafka, with a login or TLS that is half set, with processors that
    can't be made, or with a port for metrics that is taken: Faust would show a traceback.
    """
    client_options(settings)
    check_port(settings)
    if "topologies.blocks" in command:
        enabled_processors(settings)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)  # noqa: S606 - a fixed program, no shell
