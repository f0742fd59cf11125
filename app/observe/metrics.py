"""What the workers count; each one's meaning and what to do about it: docs/metrics.md."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from app.config import Settings
from app.errors import ConfigurationError

blocks_missing = Counter("sigstream_blocks_missing", "Heights that never came and were passed", ["chain"])
blocks_retracted = Counter(
    "sigstream_blocks_retracted", "Blocks whose signals were retracted in a reorganisation", ["chain"]
)
blocks_too_late = Counter(
    "sigstream_blocks_too_late", "Blocks that came when they were out of reach of the windows", ["chain"]
)
dead_letters = Counter("sigstream_dead_letters", "Records that could not be processed", ["stage", "class"])
processor_failures = Counter(
    "sigstream_processor_failures", "Blocks that a processor's signals are missing of", ["processor"]
)
processor_seconds = Histogram(
    "sigstream_processor_seconds", "Time a processor took for a block", ["processor"]
)
settings_reloads = Counter(
    "sigstream_settings_reloads", "Readings of the settings file since the start, by result", ["result"]
)
settings_refused = Gauge("sigstream_settings_refused", "1 while the settings file, as it is, was refused")
replay_signals = Counter(
    "sigstream_replay_signals", "Signals that a replay has written", ["target", "outcome"]
)
replay_left = Gauge("sigstream_replay_left", "Records or blocks that a replay has before it", ["target"])


def serve(settings: Settings) -> None:
    """At `SIGSTREAM_METRICS_PORT`, for Prometheus. Raises ConfigurationError when the port is taken."""
    if settings.metrics_port:
        with _named(settings.metrics_port):
            start_http_server(settings.metrics_port)


def check_port(settings: Settings) -> None:
    """Whether `serve` can: known before a worker starts, a taken port is no traceback of Faust. Raises
    ConfigurationError."""
    if settings.metrics_port:
        with _named(settings.metrics_port), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            probe.bind(("", settings.metrics_port))


@contextmanager
def _named(port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"metrics can't be served at port {port} ({error.strerror}): set SIGSTREAM_METRICS_PORT to a "
            "port of this worker's own, or to 0 for none"
        ) from error
