"""Signals as the stores have them: the latest rows, and how many there are."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from app.model.keys import canonical_symbol, write_ts

COLUMNS = (
    *("provider", "symbol", "ts", "name", "value", "score", "confidence", "signal_type", "block_height"),
    *("version", "retracted_at"),
)
HELD = (
    *("provider", "symbol", "ts", "name", "version", "digest", "value", "score", "confidence", "metadata"),
    *("signal_type", "block_height", "block_hash", "block_time", "retracted_at"),
)
VERSION = ("provider", "symbol", "ts", "name", "version", "digest")
PAGE = 20_000
"""Rows a query of versions: some 20 MB."""

Row = dict[str, Any]
Arguments = dict[str, Any]


class Wanted(NamedTuple):
    """Which rows: None is any."""

    symbol: str | None = None
    provider: str | None = None
    name: str | None = None
    limit: int = 20


@dataclass(frozen=True, slots=True)
class Store:
    """A store one can ask: `query` runs SQL whose parameters `mark` writes (number from 1, name)."""

    name: str
    table: str
    """One row a signal."""
    mark: Callable[[int, str], str]
    query: Callable[[str, Arguments], Awaitable[list[Row]]]
    versions_table: str = "signals"
    """Rows of all versions that it keeps, retracted ones too."""
    repeats: bool = False
    """Whether a signal has several of them, and one may be there more than once."""
    time: Callable[[str], str] = str
    """SQL of a time whose text a mark stands for."""
    times: Callable[[str], str] = str
    """SQL of a query for the times whose texts, joined by commas, a mark stands for."""

    async def latest(self, wanted: Wanted) -> list[Row]:
        """Rows with the newest `ts` first. Raises what `query` raises."""
        given = {"symbol": wanted.symbol, "provider": wanted.provider, "name": wanted.name}
        arguments = {column: value for column, value in given.items() if value is not None}
        conditions = [f"{column} = {self.mark(n, column)}" for n, column in enumerate(arguments, 1)]
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return await self.query(
            f"SELECT {', '.join(COLUMNS)} FROM {self.table}{where} "  # noqa: S608 - nothing of it is input
            f"ORDER BY ts DESC, provider, symbol, name LIMIT {wanted.limit:d}",
            arguments,
        )

    async def versions(
        self, provider: str, symbol: str, first: str, end: str, times: Sequence[str] = (), *, page: int = PAGE
    ) -> AsyncIterator[list[Row]]:
        """Key, version, digest and `copies` of that version, of one series from `first` to before `end`, or
        of those of its `times` (canonical) that are within: in pages of so many rows, ordered by all of that.
        """
        span = {"provider": provider, "symbol": symbol, "first": first, "last": end}
        arguments = {**span, **({"times": ",".join(times)} if times else {})}
        rows = await self._versions(arguments, page, None)
        while rows:
            yield rows
            if len(rows) < page:
                return
            # Each page begins where the last one ended, so that no index is read twice.
            arguments |= {"first": ts_of(rows[-1]), "name": rows[-1]["name"]}
            rows = await self._versions(arguments, page, rows[-1])

    async def _versions(self, arguments: Arguments, page: int, after: Row | None) -> list[Row]:
        marks = {name: self.mark(number, name) for number, name in enumerate(arguments, 1)}
        columns, first = ", ".join(VERSION), self.time(marks["first"])
        among = f" AND ts IN ({self.times(marks['times'])})" if "times" in marks else ""
        behind = f" AND (ts > {first} OR {_behind(after, marks['name'])})" if after else ""
        # In the order of the table's key: PostgreSQL then reads as much of its index as a page needs.
        copies, order = "1", ", ".join(VERSION[:4])
        if self.repeats:
            copies, order = "count(*)", columns
        group = f"GROUP BY {columns} " if self.repeats else ""
        return await self.query(
            f"SELECT {columns}, {copies} AS copies FROM {self.versions_table} "  # noqa: S608 - nothing is input
            f"WHERE provider = {marks['provider']} AND symbol = {marks['symbol']} "
            f"AND ts >= {first} AND ts < {self.time(marks['last'])}{among}{behind} "
            f"{group}ORDER BY {order} LIMIT {page:d}",
            arguments,
        )

    async def held(self, provider: str, symbol: str, times: Sequence[str]) -> list[Row]:
        """All versions of one series at these times (canonical): the columns `HELD`."""
        ends = {"first": min(times), "last": max(times)}
        arguments = {"provider": provider, "symbol": symbol, **ends, "times": ",".join(sorted(set(times)))}
        marks = {name: self.mark(number, name) for number, name in enumerate(arguments, 1)}
        columns = ", ".join(HELD)
        return await self.query(
            f"SELECT {columns} FROM {self.versions_table} "  # noqa: S608 - nothing is input
            f"WHERE provider = {marks['provider']} AND symbol = {marks['symbol']} "
            f"AND ts >= {self.time(marks['first'])} AND ts <= {self.time(marks['last'])} "
            f"AND ts IN ({self.times(marks['times'])})",
            arguments,
        )

    async def count(self, table: str | None = None) -> int:
        """Signals it has; of another `table`, rows."""
        rows = await self.query(f"SELECT count(*) AS n FROM {table or self.table}", {})  # noqa: S608
        return int(rows[0]["n"])


def canonical(wanted: Wanted) -> Wanted:
    """With the symbol as stores have it, upper case."""
    if wanted.symbol is None:
        return wanted
    return wanted._replace(symbol=canonical_symbol(wanted.symbol, uppercase=True))


def ts_of(row: Row) -> str:
    """A row's `ts`, canonical; SQLite has texts."""
    ts: Any = row["ts"]
    return write_ts(ts) if isinstance(ts, datetime) else str(ts)


def _behind(row: Row, name: str) -> str:
    """SQL of what follows the row within its `ts`: BigQuery compares no tuples.

    Rows from before there were versions have none in BigQuery, and come first.
    """
    version, digest = (-1 if row[column] is None else row[column] for column in ("version", "digest"))
    newer = f"version > {version:d} OR version = {version:d} AND digest > {digest:d}"
    return f"name > {name} OR name = {name} AND ({newer})"
