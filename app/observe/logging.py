"""Logging: one line an event on stderr, for people (console) or machines (JSON).

What a worker binds with `structlog.contextvars.bind_contextvars` (correlation_id, topic, partition,
offset) is on every line until it is unbound. Times are RFC 3339 in UTC.
"""

import logging
import logging.config
import sys
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from app.config import Settings

LIBRARY_LEVEL = logging.WARNING
"""Of Faust, aiokafka and whatever else logs through the standard library: debug costs 10 %."""


LEVELS = ("debug", "info", "warning", "error")
METHODS = (*LEVELS, "warn", "critical", "fatal", "exception", "log", "is_enabled_for", "get_effective_level")


class _Logger(structlog.make_filtering_bound_logger("debug")):  # type: ignore[misc]
    """Loggers are cached where they are used, and all of them are of this class."""


def set_level(level: str) -> None:
    """From now on, for all loggers: one of LEVELS. What is below it costs no more than an empty call."""
    wanted = structlog.make_filtering_bound_logger(level)
    for name in METHODS:
        setattr(_Logger, name, getattr(wanted, name))


def configure_logging(settings: Settings, worker: str) -> None:
    """Send structlog's and the standard library's records through one renderer to stderr.

    `worker` (`dedupe`, `sink.timescale`) is on every line. Call it once a process, before the first
    event: loggers keep the configuration they met first.
    """
    set_level(settings.log_level)
    structlog.configure(
        processors=[*_shared(worker), *_rendering(settings)],
        wrapper_class=_Logger,
        logger_factory=lambda *_: _Stderr(),
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(library_config(settings, worker))


def library_config(settings: Settings, worker: str) -> dict[str, Any]:
    """The standard library's part as a `logging.config` dictionary.

    For programs that configure logging themselves: Faust's worker replaces all handlers unless the
    app is given this as `logging_config`. Faust also turns stderr into a logger, so give the app
    `worker_redirect_stdouts=False` too, or the two write into each other.
    """
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": _shared(worker),
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(settings)],
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"structlog": formatter},
        "handlers": {"stderr": {"()": _StderrHandler, "formatter": "structlog"}},
        "root": {"handlers": ["stderr"], "level": LIBRARY_LEVEL},
    }


def _shared(worker: str) -> list[Processor]:
    """What is added to an event before it is rendered."""

    def add_worker(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("worker", worker)
        return event

    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_worker,
        structlog.processors.StackInfoRenderer(),
    ]


def _rendering(settings: Settings) -> list[Processor]:
    if settings.log_format == "json":
        return [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(serializer=_json),
        ]
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]


def _json(event: EventDict, **_: Any) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class _Stderr:
    """structlog's way out. Looks stderr up for each line: progress bars and tests replace it."""

    def msg(self, line: str) -> None:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    debug = info = warning = error = critical = exception = log = fatal = failure = err = warn = msg


class _StderrHandler(logging.Handler):
    """The standard library's way out, to the same place."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _Stderr().msg(self.format(record))
        except Exception:  # logging must never take a worker down
            self.handleError(record)
