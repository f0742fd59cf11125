"""Rows of one partition into its stream: start over when it is lost, isolate the row that is refused."""

from collections.abc import Awaitable, Callable, Sequence

import structlog

from app.errors import Terminal, Transient
from app.sinks.bigquery.encode import Pending, requests
from app.sinks.bigquery.history import History
from app.sinks.bigquery.streams import PartitionStream, RowsRefused, StreamLost

log = structlog.get_logger()

_RESTARTS = 2
"""Times that one append starts over from the fence before it is left to the worker's retries."""


async def append_rows(
    stream: PartitionStream, rows: Sequence[Pending], look: Callable[[Sequence[Pending]], Awaitable[History]]
) -> None:
    """Append all rows. A row that the service refuses becomes a stub with its reason (`row.refused`)."""
    for chunk in requests(rows):
        await _Appender(stream, look).put(chunk)


class _Appender:
    """One append request and what it takes to get it through."""

    def __init__(
        self, stream: PartitionStream, look: Callable[[Sequence[Pending]], Awaitable[History]]
    ) -> None:
        self._stream = stream
        self._look = look

    async def put(self, rows: Sequence[Pending], restarts: int = _RESTARTS) -> None:
        try:
            if not self._stream.sound:
                rows = await self._start_over(rows)
            if rows:
                await self._stream.append([row.payload for row in rows])
        except StreamLost as lost:
            if restarts == 0:
                raise Transient(f"BigQuery loses the write stream again and again: {lost}") from lost
            log.info("write stream lost", reason=str(lost))
            await self.put(rows, restarts - 1)
        except RowsRefused as refusal:
            await self._isolate(rows, refusal)

    async def _start_over(self, rows: Sequence[Pending]) -> list[Pending]:
        """Those of the rows that are not there, once nothing on its way can arrive any more."""
        await self._stream.ready()
        history = await self._look(rows)
        return [row for row in rows if not history.holds(row)]

    async def _isolate(self, rows: Sequence[Pending], refusal: RowsRefused) -> None:
        clear = self._stream.sound
        for index, reason in refusal.rows.items():
            _refuse(rows[index], reason, refusal, clear=clear)
        if not clear:  # the rows may be there for all that
            rows = await self._start_over(rows)
        if refusal.rows or not rows:
            await self.put(rows)
        elif len(rows) > 1:
            half = len(rows) // 2
            await self.put(rows[:half])
            await self.put(rows[half:])
        else:
            if clear or rows[0].suspect:
                _refuse(rows[0], str(refusal), refusal, clear=clear)
            rows[0].suspect = True
            await self.put(rows)


def _refuse(row: Pending, reason: str, refusal: RowsRefused, *, clear: bool) -> None:
    """Make the row a stub. Where even a stub is refused, it is not for the row."""
    if row.refused is None:
        log.warning("row refused", signal_id=row.row.signal_id, reason=reason)
        row.refuse(reason)
    elif clear:
        raise Terminal(
            f"BigQuery refuses a row that has nothing but its key: {reason}: "
            "compare the table's columns with docs/bigquery.md"
        ) from refusal
    else:
        raise Transient(f"BigQuery fails on any row: {reason}") from refusal
