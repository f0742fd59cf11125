"""How often a worker stopped at a record: kept on disk, as the worker does not survive to remember."""

from pathlib import Path

import orjson

from app.model.receipt import Origin

MOST = 3
"""The third stop at one offset makes the record a dead letter."""
SPAN = 1000
"""Records behind a blamed one among which the guilty one may be: more than a producer's batch holds."""


class Attempts:
    """Stops by record; forgotten once the record is through."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "attempts.json"
        self._stops = _load(self._file)

    def count(self, origin: Origin) -> int:
        """How often the worker stopped at this record."""
        return self._stops.get(_name(origin), 0) if self._stops else 0

    def near(self, origin: Origin) -> bool:
        """Whether the worker stopped in this partition, at a record that is not through yet.

        Kafka refuses batches, so the record that was blamed may be a neighbour of the guilty one:
        here records have to be acknowledged one by one.
        """
        return bool(self._stops) and bool(self._of(origin))

    def stopped(self, origin: Origin) -> None:
        """The worker is about to stop at this record."""
        self._stops[_name(origin)] = self.count(origin) + 1
        self._save()

    def passed(self, origin: Origin) -> None:
        """The record is through; so are those blamed well before it."""
        old = [name for name in self._of(origin) if int(name.rpartition("/")[2]) <= origin.offset - SPAN]
        self._forget(old)

    def buried(self, origin: Origin) -> None:
        """The record is a dead letter: whoever was blamed in its partition was its neighbour."""
        self._forget(self._of(origin))

    def _of(self, origin: Origin) -> list[str]:
        prefix = f"{origin.topic}/{origin.partition}/"
        return [name for name in self._stops if name.startswith(prefix)]

    def _forget(self, names: list[str]) -> None:
        for name in names:
            del self._stops[name]
        if names:
            self._save()

    def _save(self) -> None:
        new = self._file.with_suffix(".new")
        new.write_bytes(orjson.dumps(self._stops))
        new.replace(self._file)


def _load(file: Path) -> dict[str, int]:
    """What is kept; nothing where a crash left something unreadable."""
    try:
        found = orjson.loads(file.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _name(origin: Origin) -> str:
    return f"{origin.topic}/{origin.partition}/{origin.offset}"
