"""The workers of a backfill: children of its process, of low priority."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from app.cli.worker import command_of
from app.config import Settings
from app.supervisor import DRAIN_S, worker_commands, worker_environment
from app.worker_child import WorkerChild


def give_way(niceness: int) -> None:
    """Let other programs have the processor before this one and what it starts from now on."""
    with contextlib.suppress(OSError):
        os.nice(niceness)


def session_gives_way(pid: int, niceness: int) -> bool:
    """The same for the session that a process leads; False: not now.

    Linux shares processors among sessions before it looks at niceness (`sched_autogroup`), and every worker
    is a session of its own. It takes one such change in a tenth of a second.
    """
    try:
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness))
    except BlockingIOError:
        return False
    except OSError:  # not there, or not ours to say
        return True
    return True


class Crew:
    """All of them. Start, poll and stop from the main thread; `write` gets their output by line."""

    def __init__(
        self, settings: Settings, processes: int, niceness: int, write: Callable[[str], None]
    ) -> None:
        self._niceness = niceness
        commands = worker_commands(settings)
        more = {f"blocks.{number}": command_of("blocks") for number in range(2, processes + 1)}
        self.workers = [
            WorkerChild(name, command, worker_environment(settings, number), _prefixed(name, write))
            for number, (name, command) in enumerate((commands | more).items())
        ]
        self._lowered: set[int] = set()

    def poll(self) -> None:
        """Start what is due, and lower its priority."""
        for worker in self.workers:
            worker.poll()
            pid = worker.pid
            if pid is not None and pid not in self._lowered and session_gives_way(pid, self._niceness):
                self._lowered.add(pid)

    @property
    def restarted(self) -> list[str]:
        """Names of workers that had to be started more than once."""
        return [worker.name for worker in self.workers if worker.starts > 1]

    def stop(self) -> None:
        """Workers finish what is in flight; what takes longer than 30 s is killed."""
        for worker in self.workers:
            worker.ask_to_stop()
        deadline = time.monotonic() + DRAIN_S
        for worker in self.workers:
            worker.wait(deadline)

    def kill(self) -> None:
        """At once."""
        for worker in self.workers:
            worker.kill()


def _prefixed(name: str, write: Callable[[str], None]) -> Callable[[str], None]:
    return lambda line: write(f"{name} | {line}")
