"""How far a long command is: a bar on a terminal, a line now and then elsewhere; on stderr."""

from datetime import timedelta
from time import monotonic
from typing import Any, Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from app.cli.console import err

SMOOTH_S = 120.0
"""Seconds that the time left is estimated from."""


class LongBar:
    """One task of a command, `what`; the `last` column says how long it takes, `fields` are for that one."""

    plain_every_s = 30.0
    """Pause between two lines, where there is no terminal."""

    def __init__(self, what: str, last: ProgressColumn, **fields: Any) -> None:
        self._console = err()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), last)
        self._progress = Progress(
            *columns,
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
            speed_estimate_period=SMOOTH_S,
        )
        self._task = self._progress.add_task(what, total=None, **fields)
        self._said_at = monotonic()

    def __enter__(self) -> Self:
        """Shown from now on."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Gone."""
        self.stop()

    def stop(self) -> None:
        """Take the bar away."""
        self._progress.stop()

    def say(self, text: str) -> None:
        """A line on stderr."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _line_is_due(self) -> bool:
        """Whether to say now what no bar can show; counted as said."""
        if self._console.is_terminal or monotonic() - self._said_at < self.plain_every_s:
            return False
        self._said_at = monotonic()
        return True


class StagesBar(LongBar):
    """One thing after another, each counted from its beginning, with the time left."""

    plain_every_s = 10.0

    def __init__(self, what: str) -> None:
        super().__init__(what, TimeRemainingColumn())

    def begin(self, what: str, total: int) -> None:
        """So many lie ahead."""
        self._progress.reset(self._task, total=total, description=what)

    def advance(self, count: int) -> None:
        """So many are done."""
        self._progress.advance(self._task, count)
        if self._line_is_due():
            self.say(self._plainly())

    def _plainly(self) -> str:
        task = self._progress.tasks[0]
        done = f"{task.description}: {task.completed:.0f} of {task.total or 0:.0f}"
        if task.time_remaining is None:
            return done
        return f"{done}, {timedelta(seconds=round(task.time_remaining))} left"
