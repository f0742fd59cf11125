"""What all embedded servers share: directory, ports, log, start and end of the process."""

import contextlib
import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import structlog

from app.embedded.directory_lock import DirectoryLock
from app.embedded.leash import User, leashed
from app.embedded.ports import keep_ports
from app.errors import ServerDidNotStart

log = structlog.get_logger()

TAIL_LINES = 30
MAX_LOG_BYTES = 20_000_000


class Server(ABC):
    """A real server as a child process, on 127.0.0.1, its data and log under `directory`.

    `start()` on the same directory finds the same data and, where it is still free, the same port.
    The process ends with its parent. To be started from the main thread.
    """

    name: ClassVar[str]
    port_names: ClassVar[tuple[str, ...]]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    death_signal: ClassVar[signal.Signals] = signal.SIGKILL
    start_timeout_s: ClassVar[float] = 60.0
    stop_timeout_s: ClassVar[float] = 20.0

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.ports: dict[str, int] = {}
        self._lock = DirectoryLock(self.directory)
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @abstractmethod
    def settings(self) -> dict[str, str]:
        """Fields of `app.config.Settings` that lead to this server; valid once it was prepared."""

    @abstractmethod
    def _prepare(self) -> None:
        """Make the directory ready for the first start; runs at every start, on any thread."""

    @abstractmethod
    def _command(self) -> list[str]:
        """The program and its arguments."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether the server does real work by now; asked only while its process runs."""

    def _environment(self) -> dict[str, str]:
        return dict(os.environ)

    def _user(self) -> User | None:
        """Whom to run as; None: as this process."""
        return None

    @property
    def log_file(self) -> Path:
        """What the server writes to its standard output and error."""
        return self.directory / f"{self.name}.log"

    @property
    def pid(self) -> int:
        """Of the last process started. Raises RuntimeError before there was one."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start and wait until it answers.

        Raises ServerDidNotStart, and ConfigurationError when the directory is in use.
        """
        start_all([self])

    def prepare(self) -> None:
        """First third of a start: lock, ports, files. May run on any thread."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        try:
            self.ports = keep_ports(self.directory / "ports.json", self.port_names)
            self._prepare()
        except BaseException:
            self._lock.release()
            raise

    def launch(self) -> None:
        """Second third: the process. From the main thread."""
        command = leashed(self._command(), death_signal=self.death_signal, user=self._user())
        _rotate(self.log_file)
        with self.log_file.open("ab") as output:
            self._log_start = output.tell()
            self._process = subprocess.Popen(  # noqa: S603 - the command is ours
                command,
                cwd="/",
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(self._lock.fd,),
                start_new_session=True,  # Ctrl-C in a terminal is for the supervisor to handle
            )

    def wait_ready(self) -> None:
        """Last third: until it answers. Raises ServerDidNotStart with the tail of the log."""
        deadline = time.monotonic() + self.start_timeout_s
        while not (self.running and self._answers()):
            if not self.running:
                assert self._process is not None
                raise self._failure(f"ended with exit code {self._process.returncode}")
            if time.monotonic() > deadline:
                raise self._failure(f"did not answer within {self.start_timeout_s:.0f} s")
            time.sleep(0.05)
        log.info("server ready", server=self.name, pid=self.pid, **self.ports)

    def ask_to_stop(self, number: signal.Signals | None = None) -> None:
        """Send a signal, by default the one for an orderly end, without waiting for what it does."""
        if self.running:
            self._signal(number or self.stop_signal)

    def stop(self) -> None:
        """End in order, or by SIGKILL after `stop_timeout_s`; nothing happens where nothing runs."""
        self.ask_to_stop()
        if self._process is not None:
            try:
                self._process.wait(self.stop_timeout_s)
            except subprocess.TimeoutExpired:
                log.warning("server did not stop, killing it", server=self.name, pid=self.pid)
                self._signal(signal.SIGKILL)
                self._process.wait()
        self._lock.release()

    def kill(self) -> None:
        """SIGKILL, as a fault would; `start()` brings it back on the same data."""
        if self.running:
            self._signal(signal.SIGKILL)
            assert self._process is not None
            self._process.wait()
        self._lock.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def _failure(self, what: str) -> ServerDidNotStart:
        return ServerDidNotStart(
            f"{self.name} {what}; the end of {self.log_file}:\n{tail(self.log_file, self._log_start)}"
        )


def start_all(servers: Sequence[Server]) -> None:
    """Start several at once; either all answer, or none of them runs. From the main thread.

    Raises what `Server.start` raises, of the first in order that failed.
    """
    with ThreadPoolExecutor(max(1, len(servers))) as pool:
        prepared = [(server, pool.submit(server.prepare)) for server in servers]
    ours = [server for server, future in prepared if future.exception() is None]
    try:
        for _, future in prepared:
            future.result()
        for server in servers:
            server.launch()
        for server in servers:
            server.wait_ready()
    except BaseException:
        stop_all(ours)
        raise


def stop_all(servers: Sequence[Server]) -> None:
    """Ask all at once, then wait for each."""
    for server in servers:
        server.ask_to_stop()
    for server in servers:
        server.stop()


def tail(file: Path, start: int = 0, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, of those written from byte `start` on."""
    with file.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(start, size - 200 * lines))
        return "\n".join(stream.read().decode(errors="replace").splitlines()[-lines:])


def _rotate(file: Path) -> None:
    if file.exists() and file.stat().st_size > MAX_LOG_BYTES:
        file.replace(file.with_suffix(".log.1"))
