"""A settings file of a test's own, and workers that read it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.config import Settings
from tests.support.processes import Worker, worker


class SettingsFile:
    """Lines of `SIGSTREAM_*` in a file; `write` is what an editor does."""

    def __init__(self, path: Path, **values: str) -> None:
        self.path = path
        self._values = values
        self.set()

    def set(self, **values: str) -> None:
        """These too from now on, quoted as JSON needs it."""
        self._values |= values
        self.write("".join(f"SIGSTREAM_{name.upper()}='{value}'\n" for name, value in self._values.items()))

    def write(self, text: str) -> None:
        """In place, at a time of its own: clocks of file systems may be coarse."""
        later = self.path.stat().st_mtime_ns + 1_000_000 if self.path.exists() else 0
        self.path.write_text(text)
        os.utime(self.path, ns=(now := max(later, self.path.stat().st_mtime_ns), now))

    @contextmanager
    def worker(self, settings: Settings, *name: str, **extra: str) -> Iterator[Worker]:
        """As `worker` does, with this file behind the environment."""
        with worker(settings, *name, SIGSTREAM_CONFIG_FILE=str(self.path), **extra) as running:
            yield running
