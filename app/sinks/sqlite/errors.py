"""What sqlite3 raises -> Transient, Terminal, or a row that the table refuses; by SQLite's result code."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.errors import ConfigurationError, SigstreamError, Terminal, Transient

_TRANSIENT = {
    sqlite3.SQLITE_BUSY: "another program is writing to it",
    sqlite3.SQLITE_LOCKED: "another program is writing to it",
    sqlite3.SQLITE_PROTOCOL: "too many programs are opening it at once",
    sqlite3.SQLITE_FULL: "its disk is full: make room",
    sqlite3.SQLITE_IOERR: "its disk failed: check the file system",
    sqlite3.SQLITE_NOMEM: "memory ran out",
    sqlite3.SQLITE_INTERRUPT: "the statement was interrupted",
}
_REMEDIES = {
    sqlite3.SQLITE_CANTOPEN: "check SIGSTREAM_SQLITE_PATH, and that its folder may be written to",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable",
    sqlite3.SQLITE_PERM: "make the file and its folder writable",
    sqlite3.SQLITE_AUTH: "make the file and its folder writable",
}
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_REFUSED = (sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG)

ROW_ERRORS = (sqlite3.Error, ValueError, TypeError, ArithmeticError)
"""What a bad row may raise: from SQLite, or from sqlite3's binding of values; see `refused`."""


def refused(error: BaseException) -> str | None:
    """Why the table refuses a row, or None when the error is of another kind."""
    if isinstance(error, (ValueError, TypeError, ArithmeticError)):
        return f"not an SQLite value: {error}"
    return f"SQLite: {error}" if _code(error) in _REFUSED else None


def of(error: sqlite3.Error | OSError, file: Path) -> SigstreamError:
    """The product's error for SQLite's, or for the operating system's about the file."""
    if isinstance(error, OSError):
        return ConfigurationError(f"{file} can't be made ({error}): {_REMEDIES[sqlite3.SQLITE_CANTOPEN]}")
    code = _code(error)
    if code in _TRANSIENT:
        return Transient(f"{file} can't be written now ({error}): {_TRANSIENT[code]}")
    if code in _DAMAGED:
        return Terminal(
            f"{file} is no intact SQLite database ({error}): move it away, with its -wal and -shm files, "
            "or set SIGSTREAM_SQLITE_PATH to another file; then fill the new one: "
            "`sigstream replay --from-offset earliest --sink sqlite`"
        )
    remedy = _REMEDIES.get(code, "see the message; the table `signals` may be another program's")
    return ConfigurationError(f"{file} can't be used ({error}): {remedy}")


def _code(error: BaseException) -> int:
    """Primary result code; its extensions are in the higher bytes."""
    return int(getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


@contextmanager
def translated(file: Path) -> Iterator[None]:
    """Turn what SQLite raises inside into the product's errors."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise of(error, file) from error
