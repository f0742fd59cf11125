"""How often a worker stopped at a record: kept on disk, as the worker does not survive to remember."""

from pathlib import Path

import orjson

from app.model.receipt import Origin

MOST = 3
"""The third stop at one offset makes the record a dead letter."""


class Attempts:
    """Stops by record; forgotten once the record is through."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "attempts.json"
        self._stops: dict[str, int] = orjson.loads(self._file.read_bytes()) if self._file.exists() else {}

    def count(self, origin: Origin) -> int:
        """How often the worker stopped at this record."""
        return self._stops.get(_name(origin), 0) if self._stops else 0

    def near(self, origin: Origin) -> bool:
        """Whether the worker stopped in this partition, at a record that is not through yet.

        Kafka refuses batches, so the record that was blamed may be a neighbour of the guilty one:
        here records have to be acknowledged one by one.
        """
        prefix = f"{origin.topic}/{origin.partition}/"
        return any(name.startswith(prefix) for name in self._stops)

    def stopped(self, origin: Origin) -> None:
        """The worker is about to stop at this record."""
        self._stops[_name(origin)] = self.count(origin) + 1
        self._save()

    def passed(self, origin: Origin) -> None:
        """The record is through."""
        if self._stops and self._stops.pop(_name(origin), None) is not None:
            self._save()

    def _save(self) -> None:
        self._file.write_bytes(orjson.dumps(self._stops))


def _name(origin: Origin) -> str:
    return f"{origin.topic}/{origin.partition}/{origin.offset}"
