"""Signals in one SQLite file: for a machine of one's own, and for reading with any tool."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from app.sinks.base import Sink, SinkRecord, Written
from app.sinks.rows import answer, flatten
from app.sinks.sqlite.config import SqliteConfig
from app.sinks.sqlite.errors import translated
from app.sinks.sqlite.store import Store

T = TypeVar("T")


class SqliteSink(Sink):
    """See Sink. One write is one transaction, in a thread of the sink's own."""

    name = "sqlite"

    def __init__(self, config: SqliteConfig) -> None:
        self._config = config
        # One thread: a write that was abandoned ends before the next begins.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sqlite")
        self._store: Store | None = None

    async def open(self) -> None:
        """Make file and table where missing. Raises Transient while the file is locked or its disk full,
        Terminal when it is damaged, ConfigurationError when it can't be opened."""
        await self._run(self._reopen)

    async def write(self, records: Sequence[SinkRecord]) -> list[list[Written]]:
        """See Sink."""
        rows = flatten(records)
        return answer(records, await self._run(lambda: self._opened().write(rows)))

    async def health(self) -> None:
        """See Sink."""
        await self._run(lambda: self._opened().check())

    async def close(self) -> None:
        """See Sink."""
        await self._run(self._let_go)

    async def _run(self, step: Callable[[], T]) -> T:
        with translated(self._config.file):
            return await asyncio.get_running_loop().run_in_executor(self._thread, step)

    def _reopen(self) -> None:
        self._let_go()
        self._store = Store(self._config.file, self._config.busy_timeout_s)

    def _opened(self) -> Store:
        if self._store is None:
            self._reopen()
        assert self._store is not None
        return self._store

    def _let_go(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.close()
