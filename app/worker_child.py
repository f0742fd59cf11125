"""A worker as a supervised child process: started again when it ends, its output passed on by line."""

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

import structlog

from app.embedded.leash import leashed

log = structlog.get_logger()

CURSOR = re.compile(r"\x1b\[\?25[lh]|\x08")
"""Faust 0.15.3's worker hides, shows and moves the cursor even where its output is no terminal."""
LONGEST_PAUSE_S = 30.0
GOOD_RUN_S = 60.0


def next_pause(last_s: float, ran_s: float) -> float:
    """Seconds until the next start, after a pause of `last_s` and a run of `ran_s`.

    1, 2, 4 ... 30; from 1 again once it ran for a minute.
    """
    if ran_s >= GOOD_RUN_S:
        return 1.0
    return min(max(1.0, 2 * last_s), LONGEST_PAUSE_S)


@dataclass(slots=True)
class Restarts:
    """When something that ends may be started again."""

    pause_s: float = 0.0
    started_at: float = 0.0
    due_at: float = 0.0

    def started(self) -> None:
        """It has just been started."""
        self.started_at = time.monotonic()

    def ended(self) -> float:
        """It has ended, or would not start; seconds until it may be tried again."""
        now = time.monotonic()
        self.pause_s = next_pause(self.pause_s, now - self.started_at)
        self.due_at = now + self.pause_s
        return self.pause_s

    @property
    def due(self) -> bool:
        """Whether the pause is over."""
        return time.monotonic() >= self.due_at


class WorkerChild:
    """One worker; `write` gets each line of its output that has text, on another thread."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], write: Callable[[str], None]
    ) -> None:
        self.name = name
        self.starts = 0
        self._command = list(command)
        self._environment = dict(environment)
        self._write = write
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._restarts = Restarts()

    @property
    def pid(self) -> int | None:
        """Of the running process."""
        return self._process.pid if self._process is not None else None

    @property
    def running(self) -> bool:
        """Whether its process lives, or has ended unnoticed by `poll`."""
        return self._process is not None

    def poll(self) -> None:
        """Notice an end; start again once the pause is over. From the main thread."""
        if self._process is not None and self._process.poll() is not None:
            code = self._collect()
            pause = self._restarts.ended()
            log.error("worker ended", name=self.name, exit_code=code, restart_in_s=pause)
        if self._process is None and self._restarts.due:
            self._start()

    def use(self, environment: Mapping[str, str]) -> None:
        """From now on; where it is another one, the running process is asked to end for it."""
        if self._environment != environment:
            self._environment = dict(environment)
            self.ask_to_stop()

    def _start(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - the command is ours
            # SIGKILL: with the servers gone too, there would be nothing to drain to.
            leashed(self._command, death_signal=signal.SIGKILL),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in a terminal is for the supervisor to handle
        )
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._pass_on, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        self.starts += 1
        self._restarts.started()
        log.info("worker started", name=self.name, pid=self._process.pid)

    def _pass_on(self, output: IO[bytes]) -> None:
        with output:
            for line in output:
                text = CURSOR.sub("", line.decode(errors="replace").rstrip("\r\n"))
                if text.strip():
                    self._write(text)

    def _collect(self) -> int:
        assert self._process is not None
        assert self._reader is not None
        code = self._process.wait()
        self._signal_group(signal.SIGKILL)  # what it may have left behind, holding its output open
        self._reader.join(timeout=5)
        self._process = None
        return code

    def ask_to_stop(self) -> None:
        """SIGTERM: finish what is in flight, commit, leave."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()

    def reload(self) -> None:
        """SIGHUP: read the settings file."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        """SIGKILL to it and all it started."""
        self._signal_group(signal.SIGKILL)

    def wait(self, deadline: float) -> int | None:
        """Its exit code; killed where `time.monotonic()` reaches `deadline` first. None: did not run."""
        if self._process is None:
            return None
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.warning("worker did not stop in time, killing it", name=self.name)
            self.kill()
        return self._collect()

    def _signal_group(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
