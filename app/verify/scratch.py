"""What was read, on disk: memory stays small however long the topics are."""

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from app.sinks.statements import load

SQL = load(Path(__file__).with_name("statements.sql"))
CACHE_KB = 65_536


class Scratch:
    """A database that nobody needs afterwards."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.run("create")

    def add(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        """Rows of a table, in its columns' order."""
        held = list(rows)
        if held:
            marks = ", ".join("?" * len(held[0]))
            self._connection.execute("BEGIN")
            self._connection.executemany(f"INSERT INTO {table} VALUES ({marks})", held)  # noqa: S608 - fixed
            self._connection.execute("COMMIT")

    def run(self, script: str) -> None:
        """A script of `statements.sql`; indexes once all is there, as sorted inserts take longer."""
        self._connection.executescript(SQL[script])

    def rows(self, query: str, **arguments: Any) -> Iterator[tuple[Any, ...]]:
        """What a query of `statements.sql` finds."""
        yield from self._connection.execute(SQL[query], arguments)


@contextmanager
def scratch(directory: Path | None = None) -> Iterator[Scratch]:
    """In a directory of its own, removed afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="sigstream-verify-", dir=directory) as place,
        closing(sqlite3.connect(Path(place) / "scratch.db", isolation_level=None)) as connection,
    ):
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KB}"):
            connection.execute(f"PRAGMA {pragma}")
        yield Scratch(connection)
