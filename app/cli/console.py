"""Where commands write: results on stdout, progress and remarks on stderr."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import structlog
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from app.config import Settings
from app.observe.logging import configure_logging

FILE_WIDTH = 160
"""Characters a line of tables that go to a file or another program."""


def out() -> Console:
    """Results. Made anew each time: tests and shells replace stdout."""
    wide = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(file=sys.stdout, width=FILE_WIDTH if wide else None)


def err() -> Console:
    """Progress and remarks, apart from results that somebody may pipe on."""
    return Console(file=sys.stderr)


def print_json(document: Any) -> None:
    """`document` as indented JSON on stdout."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z
    sys.stdout.write(orjson.dumps(document, option=options).decode())


def quiet_logging(settings: Settings) -> None:
    """Logging of a command: its own warnings; libraries stay silent, as the command says what failed."""
    configure_logging(settings.model_copy(update={"log_level": "warning"}), "cli")
    # One process may run several commands (tests do), each with a stderr of its own.
    structlog.configure(cache_logger_on_first_use=False)
    logging.getLogger().setLevel(logging.CRITICAL + 1)


def counter() -> Progress:
    """A bar that counts what is done, on stderr; gone when it is over."""
    console = err()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def spinner(what: str) -> Iterator[None]:
    """A spinner on stderr while `what` goes on."""
    console = err()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task(what, total=None)
        yield
