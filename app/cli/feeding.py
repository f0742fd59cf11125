"""`sigstream ingest core`, `esplora`, `etl`: sources that resume, with a bar, and stop at Ctrl-C."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.progress import TimeRemainingColumn

from app.cli.bar import LongBar
from app.cli.console import out, quiet_logging
from app.config import Settings
from app.sources.core import Beside, feed_from_core
from app.sources.esplora import Esplora
from app.sources.etl import feed_from_etl
from app.sources.pace import Pace
from app.sources.session import Wanted, Watch, run_session, until_stopped

ESPLORA_EVERY_S = 30.0
"""Pause between two looks at the tip: public servers limit requests."""


def ingest_core(settings: Settings, wanted: Wanted, beside: Beside) -> None:
    """Blocks of a Bitcoin Core node."""
    _run(settings, lambda watch: feed_from_core(settings, wanted, beside, watch))


def ingest_esplora(settings: Settings, url: str, wanted: Wanted, requests_per_s: float | None) -> None:
    """Blocks of an Esplora server."""

    async def work(watch: Watch) -> None:
        async with Esplora(settings, url, Pace(requests_per_s)) as node:
            await run_session(settings, node, wanted, watch, every_s=ESPLORA_EVERY_S)

    _run(settings, work)


def ingest_etl(settings: Settings, blocks: Path, transactions: Path, chain: str, first: int | None) -> None:
    """Blocks of an export of Bitcoin ETL."""
    _run(settings, lambda watch: feed_from_etl(settings, blocks, transactions, chain, first, watch))


class Bar(LongBar):
    """A `Watch`: a bar with the time left on a terminal, remarks on stderr."""

    def __init__(self) -> None:
        self.heights: list[int] = []
        """First and last that arrived; nothing yet: empty."""
        self.sent = 0
        super().__init__("blocks", TimeRemainingColumn())

    def begin(self, first: int, last: int) -> None:
        """The bar has an end."""
        self._progress.update(self._task, total=last - first + 1)

    def done(self, height: int) -> None:
        """One more."""
        self.sent += 1
        self.heights = [*self.heights[:1], height]
        self._progress.update(self._task, advance=1, description=f"block {height}")
        if self._line_is_due():
            self.say(self._plainly(height))

    def _plainly(self, height: int) -> str:
        """For logs, where no bar can be drawn."""
        task = self._progress.tasks[0]
        if task.total is None or task.completed >= task.total or task.time_remaining is None:
            return f"block {height}, {self.sent} sent"
        left = timedelta(seconds=round(task.time_remaining))
        return f"block {height}, {self.sent} of {task.total:g} sent, {left} left"


def _run(settings: Settings, work: Callable[[Watch], Coroutine[Any, Any, None]]) -> None:
    """Run and say what was sent, also after an error or a signal. Raises SigstreamError."""
    quiet_logging(settings)
    with Bar() as bar:
        try:
            asyncio.run(until_stopped(work(bar), (signal.SIGINT, signal.SIGTERM)))
        finally:
            _show(settings, bar)


def _show(settings: Settings, bar: Bar) -> None:
    if bar.sent:
        heights = f"{bar.heights[0]} to {bar.heights[-1]}"
        line = f"{bar.sent} blocks sent to {settings.topic('blocks')}, heights {heights}"
        out().print(line, highlight=False)
    else:
        out().print("no blocks sent", highlight=False)
