"""`sigstream backfill`: a bar with the time left, and what was done in the end."""

import asyncio
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Self

from rich.progress import TextColumn
from rich.table import Table

from app.backfill.clean import clean
from app.backfill.crew import give_way
from app.backfill.run import Asked, Progress, backfill, check
from app.cli.bar import LongBar
from app.cli.console import err, out, quiet_logging
from app.config import Settings
from app.embedded.directory_lock import DirectoryLock
from app.model.receipt import Outcome
from app.sources.session import until_stopped

STOPPED = 130
"""Exit code after Ctrl-C or SIGTERM: the same command goes on."""
SHOWN = (
    Outcome.INSERTED, Outcome.UPDATED, Outcome.UNCHANGED, Outcome.RETRACTED, Outcome.REJECTED,
)  # fmt: skip


def run_backfill(settings: Settings, asked: Asked, *, clean_up: bool) -> int:
    """Run it; the exit code: 0 when every block of the range has its signals in the stores, 1 when some
    have none, 130 when it was stopped. `clean_up`: with 0, its topics are deleted.

    Raises SigstreamError.
    """
    check(settings, asked)
    settings.need_kafka()
    quiet_logging(settings)
    give_way(asked.niceness)
    place = settings.data_dir.absolute() / "backfills" / asked.namespace
    place.mkdir(parents=True, exist_ok=True)
    lock = DirectoryLock(place)
    lock.acquire()
    try:
        with Display(place / "workers.log") as display:
            display.say(f"workers' output goes to {display.log}")
            code = _finish(display, _until_done(settings, asked, display))
        if code == 0 and clean_up:
            own = settings.model_copy(update={"namespace": asked.namespace})
            err().print(f"{asyncio.run(clean(own))} topics deleted", highlight=False)
        return code
    finally:
        lock.release()


def _until_done(settings: Settings, asked: Asked, display: "Display") -> Progress | None:
    """None: it was stopped."""
    found: list[Progress] = []

    async def work() -> None:
        found.append(await backfill(settings, asked, display))

    asyncio.run(until_stopped(work(), (signal.SIGINT, signal.SIGTERM)))
    return found[0] if found else None


def _finish(display: "Display", progress: Progress | None) -> int:
    if progress is None:
        display.say("stopped: the same command goes on where it was")
        return STOPPED
    plan, ledger = progress.plan, progress.ledger
    display.stop()
    out().print(
        f"{plan.chain} {plan.first} to {plan.last}: {ledger.blocks} of {plan.blocks} blocks, "
        f"{ledger.signals} signals",
        highlight=False,
    )
    out().print(_outcomes(progress))
    if ledger.blocks < plan.blocks:
        err().print(
            f"{plan.blocks - ledger.blocks} blocks have no signals: their namespace's dead letters and "
            f"{display.log} say why",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
        return 1
    return 0


def _outcomes(progress: Progress) -> Table:
    table = Table("store", title="Signals", title_justify="left")
    for outcome in SHOWN:
        table.add_column(outcome.value, justify="right")
    for stage, counts in sorted(progress.ledger.outcomes.items()):
        if stage != "dedupe":
            table.add_row(stage, *(f"{counts[outcome]}" for outcome in SHOWN))
    return table


class Display(LongBar):
    """A `Watch`: a bar on a terminal, else a line now and then; all of it on stderr."""

    def __init__(self, log: Path) -> None:
        self.log = log
        super().__init__("starting workers", TextColumn("{task.fields[left]}"), left="")
        self._say_restarted: Callable[[list[str]], None] = self._remark()

    def __enter__(self) -> Self:
        """Shown from now on."""
        self._file = self.log.open("a")
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        """Gone."""
        super().__exit__()
        self._file.close()

    def worker_says(self, line: str) -> None:
        """A line of a worker's output."""
        self._file.write(f"{line}\n")
        self._file.flush()

    def show(self, progress: Progress) -> None:
        """How far it is."""
        total, done = progress.plan.blocks, progress.ledger.blocks
        height = progress.sent.height or 0
        doing = f"warming up, block {height}" if height < progress.plan.first else f"block {height}"
        text = f"{doing}, {progress.ledger.signals} signals"
        left = "" if progress.left_s is None else f"{timedelta(seconds=round(progress.left_s))} left"
        self._progress.update(self._task, total=total, completed=done, description=text, left=left)
        self._say_restarted(progress.restarted)
        if self._line_is_due():
            self.say(", ".join(filter(None, (text, f"{done} of {total} blocks stored", left))))

    def _remark(self) -> Callable[[list[str]], None]:
        known: set[str] = set()

        def remark(names: list[str]) -> None:
            for name in [name for name in names if name not in known]:
                known.add(name)
                self.say(f"worker {name} had to be started again: {self.log} says why")

        return remark
