"""What a recomputation has read, on disk: memory stays small however many blocks there are."""

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from app.model.features import FEATURES_DECODER, BlockFeatures
from app.model.signal import ENCODER, Signal

_CREATE = """
CREATE TABLE block (hash TEXT PRIMARY KEY, features BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE known (ts TEXT, name TEXT, version INTEGER, digest INTEGER, signal BLOB, PRIMARY KEY (ts, name))
WITHOUT ROWID;
"""
_KEEP = """
INSERT INTO known VALUES (?, ?, ?, ?, ?) ON CONFLICT (ts, name) DO UPDATE
SET version = excluded.version, digest = excluded.digest, signal = excluded.signal
WHERE (excluded.version, excluded.digest) > (version, digest)
"""
_SIGNAL = msgspec.json.Decoder(Signal)


class Spool:
    """Features of blocks, and of each signal the latest version."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.executescript(_CREATE)

    def add_block(self, features: BlockFeatures) -> None:
        """Keep it."""
        row = (features.hash, msgspec.json.encode(features))
        self._connection.execute("INSERT OR REPLACE INTO block VALUES (?, ?)", row)

    def block(self, hash_: str) -> BlockFeatures:
        """What was kept. Raises KeyError."""
        found = self._connection.execute("SELECT features FROM block WHERE hash = ?", (hash_,)).fetchone()
        if found is None:
            raise KeyError(hash_)
        return FEATURES_DECODER.decode(found[0])

    def add_signals(self, ts: str, signals: Iterable[Signal]) -> None:
        """Keep those that are newer than what is kept under their names."""
        rows = ((ts, s.name, s.version, s.digest, ENCODER.encode(s)) for s in signals)
        self._connection.executemany(_KEEP, rows)

    def times(self) -> set[str]:
        """Of all signals that are kept."""
        return {ts for (ts,) in self._connection.execute("SELECT DISTINCT ts FROM known")}

    def signals(self, ts: str) -> dict[str, Signal]:
        """By name, the latest."""
        rows = self._connection.execute("SELECT signal FROM known WHERE ts = ?", (ts,))
        return {signal.name: signal for signal in (_SIGNAL.decode(raw) for (raw,) in rows)}


@contextmanager
def spool() -> Iterator[Spool]:
    """In a directory of its own, removed afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="sigstream-replay-") as place,
        closing(sqlite3.connect(Path(place) / "spool.db", isolation_level=None)) as connection,
    ):
        for pragma in ("journal_mode = OFF", "synchronous = OFF"):
            connection.execute(f"PRAGMA {pragma}")
        yield Spool(connection)
