"""What a store's latest view shows after some batches: an oracle of a few lines."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from app.model.signal import Signal, SignalBatch


def shown(file: Path, columns: str) -> list[tuple[Any, ...]]:
    """Rows of `signals_latest` in a SQLite store; none while the sink has not made it."""
    if not file.exists():
        return []
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
        try:
            return connection.execute(f"SELECT {columns} FROM signals_latest").fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise


Key = tuple[str, str]
Content = tuple[object, ...]


class Latest:
    """Of each key the signal with the largest version, as batches come."""

    def __init__(self) -> None:
        self._signals: dict[Key, Signal] = {}

    def take(self, batches: Iterable[SignalBatch]) -> None:
        """Batches of one provider and symbol."""
        for batch in batches:
            for signal in batch.signals:
                known = self._signals.get((batch.ts, signal.name))
                if known is None or (signal.version or 0) > (known.version or 0):
                    self._signals[batch.ts, signal.name] = signal

    def rows(self) -> dict[Key, Content]:
        """(ts, name) -> value, score, confidence, block hash and metadata; nothing that was taken back."""
        return {
            key: (s.value, s.score, s.confidence, s.block_hash, s.metadata_text())
            for key, s in self._signals.items()
            if s.retracted_at is None
        }
