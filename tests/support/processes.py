"""Workers as processes of their own, as they run in production, so that they can be killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.config import Settings, variables

ROOT = Path(__file__).parents[2]


def environment(settings: Settings, **extra: str) -> dict[str, str]:
    """The settings as variables, and nothing of ours from outside."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SIGSTREAM_")}
    return {**kept, **variables(settings), "PYTHONPATH": str(ROOT), **extra}


class Worker:
    """One running worker; its log is kept, and shown when something is missing."""

    def __init__(self, command: list[str], settings: Settings, log: Path, **extra: str) -> None:
        self._log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command, env=environment(settings, **extra), cwd=ROOT, stdout=out, stderr=out
            )

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    @property
    def log(self) -> str:
        """The end of what it wrote."""
        return self._log.read_text(errors="replace")[-4000:]

    def kill(self) -> int:
        """SIGKILL; the exit code."""
        self._process.kill()
        return self._process.wait(10)

    def suspend(self) -> None:
        """SIGSTOP: it stands still with all it holds."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT: it goes on as if nothing had been."""
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """SIGTERM, as an orderly stop; the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
        try:
            return self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
            raise AssertionError(f"the worker did not stop within 20 s; its log ends:\n{self.log}") from None


@contextmanager
def worker(settings: Settings, *name: str, tag: str = "", **extra: str) -> Iterator[Worker]:
    """`worker(settings, "dedupe")`, `worker(settings, "sink", "sqlite")`: runs until the block ends."""
    command = [sys.executable, "-m", "app.main", "worker", *name]
    with program(settings, command, f"{'-'.join(name)}{tag}", **extra) as running:
        yield running


@contextmanager
def program(settings: Settings, command: list[str], name: str, **extra: str) -> Iterator[Worker]:
    """Any command as a worker, its log named after `name`; runs until the block ends."""
    running = Worker(command, settings, settings.data_dir / f"{name}.log", **extra)
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()


def sigstream(settings: Settings, *arguments: str | Path) -> str:
    """Run `sigstream ARGUMENTS` to its end; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "app.main", *map(str, arguments)],
        env=environment(settings),
        cwd=settings.data_dir,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
