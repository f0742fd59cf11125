"""The database file itself, as one thread sees it. Raises what sqlite3 raises."""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from app.model.keys import write_ts
from app.model.receipt import Outcome
from app.sinks.base import Written
from app.sinks.rows import COLUMNS, Known, Row, decide
from app.sinks.sqlite.errors import ROW_ERRORS, refused
from app.sinks.statements import load

SQL = load(Path(__file__).with_name("statements.sql"))

_TIMES = [COLUMNS.index(name) for name in ("ts", "block_time", "first_seen_at", "retracted_at")]
_CREATED_AT = COLUMNS.index("created_at")

_text = lru_cache(maxsize=4096)(write_ts)


class Store:
    """An open database with the table `signals`."""

    def __init__(self, file: Path, busy_timeout_s: float) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(file, timeout=busy_timeout_s, isolation_level=None)
        try:
            self._prepare()
        except sqlite3.Error:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def check(self) -> None:
        """Read something."""
        self._connection.execute("SELECT 1 FROM signals LIMIT 1").fetchall()

    def write(self, rows: list[Row]) -> list[Written]:
        """Store `rows`, one Written each, in one transaction; durable on return."""
        try:
            return self._transaction(lambda: self._at_once(rows))
        except ROW_ERRORS as error:
            if refused(error) is None:
                raise
        return self._transaction(lambda: [self._alone(row) for row in rows])

    def _prepare(self) -> None:
        # WAL: readers go on while we write. FULL: a commit is on the disk when it returns.
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        for name, statement in SQL.items():
            if name.startswith("create_"):
                self._connection.execute(statement)

    def _transaction(self, step: Callable[[], list[Written]]) -> list[Written]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            written = step()
            self._connection.execute("COMMIT")
        except BaseException:
            # SQLite has rolled back by itself after some errors (disk full); then this one says so.
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise
        return written

    def _at_once(self, rows: list[Row]) -> list[Written]:
        """Nobody else writes meanwhile: what is stored is looked up, the outcomes follow from it."""
        now = write_ts(datetime.now(UTC))
        known: dict[str, Known | None] = {}
        written, changes = [], []
        for row in rows:
            before = known[row.signal_id] if row.signal_id in known else self._known(row)
            outcome, after = decide(row, before)
            if after != before:
                changes.append(_values(row, now))
            known[row.signal_id] = after
            written.append(Written(outcome))
        self._connection.executemany(SQL["upsert"], changes)
        return written

    def _alone(self, row: Row) -> Written:
        """A statement that fails leaves no trace, and the transaction goes on."""
        try:
            outcome, _ = decide(row, self._known(row))
            self._connection.execute(SQL["upsert"], _values(row, write_ts(datetime.now(UTC))))
        except ROW_ERRORS as error:
            if (reason := refused(error)) is None:
                raise
            return Written(Outcome.REJECTED, reason)
        return Written(outcome)

    def _known(self, row: Row) -> Known | None:
        key = (row.provider, row.symbol, _text(row.ts), row.name)
        found: Known | None = self._connection.execute(SQL["known"], key).fetchone()
        return found


def _values(row: Row, now: str) -> list[object]:
    """In the order of `upsert`: COLUMNS, then updated_at."""
    values: list[object] = [*row[: len(COLUMNS)], now]
    for at in _TIMES:
        when = row[at]
        values[at] = None if when is None else _text(when)
    values[_CREATED_AT] = now if row.created_at is None else _text(row.created_at)
    return values
