"""How rows get into the table: in bulk; one by one only where the table refuses some."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import asyncpg

from app.model.receipt import Outcome
from app.sinks.base import Written
from app.sinks.rows import COLUMNS, Collapsed, Known, Row, collapse, in_order, replay
from app.sinks.timescale.errors import ROW_ERRORS, refused
from app.sinks.timescale.expectation import Expectation

_INSERTED, _UPDATED = Written(Outcome.INSERTED), Written(Outcome.UPDATED)
_RETRACTED, _UNCHANGED = Written(Outcome.RETRACTED), Written(Outcome.UNCHANGED)


class Upsert:
    """One write on one connection."""

    def __init__(
        self,
        connection: asyncpg.Connection,
        sql: Mapping[str, str],
        threshold: int,
        expectation: Expectation,
    ) -> None:
        self._connection = connection
        self._expectation = expectation
        self._from_copy = f"WITH {sql['upsert']}"
        self._from_arguments = f"WITH {sql['from_arguments']}, {sql['upsert']}"
        self._known = sql["known"]
        self._threshold = threshold

    async def store(self, rows: list[Row]) -> list[Written]:
        """Store `rows`, one Written each; durable on return. Raises what asyncpg raises.

        In bulk first, the conflicts second, the bad rows last: the common case is the fastest.
        """
        collapsed = collapse(rows)
        try:
            return await self._in_bulk(rows, collapsed)
        except ROW_ERRORS as error:
            if refused(error) is None:
                raise
        async with self._connection.transaction():
            return await self._isolating(rows, collapsed)

    async def _in_bulk(self, rows: list[Row], collapsed: Collapsed) -> list[Written]:
        put = self._copy if len(collapsed.winners) >= self._threshold else self._unnest
        if not collapsed.rivals:
            return await put(rows)
        async with self._connection.transaction():
            known = await self._look_up(collapsed)
            written = [[one] for one in await put(collapsed.winners)]
        found = dict(zip((row.signal_id for row in collapsed.winners), written, strict=True))
        found |= {key: replay(rivals, known.get(key)) for key, rivals in collapsed.rivals.items()}
        return in_order(rows, found)

    async def _isolating(self, rows: list[Row], collapsed: Collapsed) -> list[Written]:
        """Rows of one key one after the other: when the last is refused, the one before it counts."""
        lone = [row for row in rows if row.signal_id not in collapsed.rivals]
        written = zip(lone, await self._bisect(lone), strict=True) if lone else ()
        found = {row.signal_id: [one] for row, one in written}
        for key, rivals in collapsed.rivals.items():
            found[key] = [one for row in rivals for one in await self._bisect([row])]
        return in_order(rows, found)

    async def _bisect(self, rows: list[Row]) -> list[Written]:
        try:
            async with self._connection.transaction():  # a savepoint
                return await self._unnest(rows)
        except ROW_ERRORS as error:
            if (reason := refused(error)) is None:
                raise
            if len(rows) == 1:
                return [Written(Outcome.REJECTED, reason)]
        middle = len(rows) // 2
        return [*await self._bisect(rows[:middle]), *await self._bisect(rows[middle:])]

    async def _copy(self, rows: list[Row]) -> list[Written]:
        if self._expectation.all_new:
            try:
                async with self._connection.transaction():
                    return await self._insert(rows)
            except asyncpg.UniqueViolationError:
                self._expectation.saw(all_new=False)
        async with self._connection.transaction():
            return await self._merge(rows)

    async def _insert(self, rows: list[Row]) -> list[Written]:
        """COPY straight into the table. Raises UniqueViolationError when a key is there."""
        now = datetime.now(UTC)
        dated = [row if row.created_at is not None else row._replace(created_at=now) for row in rows]
        await self._connection.copy_records_to_table("signals", records=dated, columns=COLUMNS)
        self._expectation.saw(all_new=True)
        return _all_new(rows)

    async def _merge(self, rows: list[Row]) -> list[Written]:
        await self._connection.copy_records_to_table("incoming", records=rows, columns=COLUMNS)
        answer = await self._connection.fetchrow(self._from_copy)
        self._expectation.saw(all_new=answer["inserted_count"] == len(rows))
        return _read(rows, answer)

    async def _unnest(self, rows: list[Row]) -> list[Written]:
        columns = list(zip(*rows, strict=True))[: len(COLUMNS)]
        return _read(rows, await self._connection.fetchrow(self._from_arguments, *columns))

    async def _look_up(self, collapsed: Collapsed) -> dict[str, Known]:
        keys = [row[1:5] for rivals in collapsed.rivals.values() for row in rivals[:1]]
        found = await self._connection.fetch(self._known, *zip(*keys, strict=True))
        return {row["signal_id"]: (row["version"], row["digest"]) for row in found}


def _read(rows: Sequence[Row], answer: asyncpg.Record) -> list[Written]:
    if answer["inserted_count"] == len(rows):
        return _all_new(rows)
    inserted, updated = set(answer["inserted"] or ()), set(answer["updated"] or ())
    return [_outcome(row, inserted, updated) for row in rows]


def _all_new(rows: Sequence[Row]) -> list[Written]:
    return [_INSERTED if row.retracted_at is None else _RETRACTED for row in rows]


def _outcome(row: Row, inserted: set[str], updated: set[str]) -> Written:
    if row.signal_id not in inserted and row.signal_id not in updated:
        return _UNCHANGED
    if row.retracted_at is not None:
        return _RETRACTED
    return _INSERTED if row.signal_id in inserted else _UPDATED
