"""What `sigstream up` runs: embedded servers where no address is set, and all workers, supervised."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson
import structlog

from app.cli.worker import AGENTS, command_of
from app.config import (
    RELOADABLE,
    SERVERS_FILE,
    Settings,
    in_environment,
    plain,
    settings_path,
    variable,
    variables,
)
from app.embedded.bigquery import BigQuery
from app.embedded.directory_lock import DirectoryLock
from app.embedded.kafka import Kafka
from app.embedded.postgres import Postgres
from app.embedded.server import Server, start_all, stop_all
from app.errors import Terminal
from app.observe.logging import configure_logging
from app.process_signals import Hangups, hangups, stop_signals
from app.processors.registry import enabled_processors
from app.reload import Reloader
from app.settings_file import read_settings_file
from app.worker_child import Restarts, WorkerChild

log = structlog.get_logger()

POLL_S = 0.2
DRAIN_S = 30.0
"""How long workers may take to finish what is in flight."""


def print_line(line: str) -> None:
    """One write a line, so that lines of several workers don't mix."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Up:
    """Servers and workers of one `data_dir`. Start, poll and stop from the main thread.

    `settings` afterwards has the addresses of the embedded servers; the same are in `servers.json` in
    `data_dir`, for commands run beside. `commands` (name -> command) replaces the product's workers.
    `write` gets each line of their output, on other threads.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        commands: Mapping[str, Sequence[str]] | None = None,
        write: Callable[[str], None] = print_line,
    ) -> None:
        self._lock = DirectoryLock(settings.data_dir.absolute())
        self._file = settings.data_dir.absolute() / SERVERS_FILE
        self.settings = _without_leftovers(settings, self._file)
        self.servers = embedded_servers(self.settings)
        self._workers_read = _workers_read()
        self._locked = False
        self.workers: list[WorkerChild] = []
        self._commands = commands
        self._write = write
        self._writing = threading.Lock()
        self._restarts = {server.name: Restarts() for server in self.servers}

    def start(self) -> None:
        """Start all servers, then all workers.

        Raises ServerDidNotStart, and ConfigurationError when another process uses `data_dir`; nothing
        runs then.
        """
        enabled_processors(self.settings)  # what is wrong with them is said before anything runs
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        self._locked = True
        try:
            self._file.unlink(missing_ok=True)
            start_all(self.servers)
            self._publish()
            self.workers = self._children()
            self.poll()
        except BaseException:
            self.stop()
            raise

    def poll(self) -> None:
        """Start again what has ended; to be called every second or more often."""
        for server in self.servers:
            self._look_after(server)
        for worker in self.workers:
            worker.poll()

    def wait_until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Supervise until `condition` holds (True) or the time is over (False)."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                return False
            self.poll()
            time.sleep(POLL_S)
        return True

    def stop(self) -> None:
        """Workers finish what is in flight (at most 30 s), then the servers stop."""
        for worker in self.workers:
            worker.ask_to_stop()
        deadline = time.monotonic() + DRAIN_S
        for worker in self.workers:
            code = worker.wait(deadline)
            log.info("worker stopped", name=worker.name, exit_code=code)
        if self._locked:  # else the file is that of another one, which runs
            self._file.unlink(missing_ok=True)
        stop_all(self.servers)
        self._lock.release()
        self._locked = False

    def reload(self) -> None:
        """Have all workers read the settings file now."""
        for worker in self.workers:
            worker.reload()

    def hurry(self) -> None:
        """Kill everything; a `stop` that waits goes on at once. May be called from a signal handler."""
        for worker in self.workers:
            worker.kill()
        for server in self.servers:
            server.ask_to_stop(signal.SIGKILL)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _look_after(self, server: Server) -> None:
        restarts = self._restarts[server.name]
        if server.running or not restarts.due:
            return
        log.error("server ended, starting it again", server=server.name)
        restarts.started()
        server.stop()
        try:
            server.start()
            self._publish()
            for number, worker in enumerate(self.workers):
                worker.use(self._environment(number))
        except Terminal as error:
            log.error(
                "server does not start", server=server.name, again_in_s=restarts.ended(), error=str(error)
            )

    def _publish(self) -> None:
        """Addresses of the embedded servers, for workers and for commands run beside."""
        addresses = {key: value for server in self.servers for key, value in server.settings().items()}
        self.settings = self.settings.model_copy(update=addresses)
        fresh = self._file.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        # The database's password is in it.
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(orjson.dumps(addresses, option=orjson.OPT_INDENT_2))
        fresh.replace(self._file)

    def _children(self) -> list[WorkerChild]:
        commands = self._commands if self._commands is not None else worker_commands(self.settings)
        width = max(map(len, commands), default=0)
        return [
            WorkerChild(
                name,
                command,
                self._environment(number),
                self._writer(name.ljust(width)),
            )
            for number, (name, command) in enumerate(commands.items())
        ]

    def _environment(self, number: int) -> dict[str, str]:
        return worker_environment(self.settings, number, self._workers_read)

    def _writer(self, name: str) -> Callable[[str], None]:
        """JSON lines name their worker themselves, and a prefix would break them."""
        prefix = "" if self.settings.log_format == "json" else f"{name} | "

        def write(line: str) -> None:
            with self._writing:
                self._write(f"{prefix}{line}")

        return write


def run_up(settings: Settings) -> int:
    """Run servers and workers until Ctrl-C or SIGTERM; a second one kills them. Gives the exit code.

    Raises ServerDidNotStart and ConfigurationError when it can't start.
    """
    configure_logging(settings, "up")
    up = Up(settings)
    reloader = Reloader(settings)
    reloader.use(_would_start)
    with stop_signals(up.hurry) as stopping, hangups() as asked:
        try:
            up.start()
            log.info("all started, Ctrl-C stops all", **_overview(up))
            while True:
                up.poll()
                _reload(up, reloader, asked)
                time.sleep(POLL_S)
        except KeyboardInterrupt:
            log.info("stopping; Ctrl-C again kills")
        finally:
            stopping.set()
            up.stop()
    return 0


def _reload(up: Up, reloader: Reloader, asked: Hangups) -> None:
    """Workers look at the file by themselves, too: each of them decides."""
    if asked.take():
        reloader.hangup()
        up.reload()
    reloader.poll()


def _would_start(settings: Settings) -> Callable[[], None]:
    """Refuses what no `up` would start with; here nothing is put in place."""
    enabled_processors(settings)
    return lambda: None


def embedded_servers(settings: Settings) -> list[Server]:
    """Of what the settings need and name no address of."""
    base = settings.data_dir.absolute() / "servers"
    found: list[Server] = []
    if settings.kafka is None:
        found.append(Kafka(base / "kafka"))
    if settings.timescale_dsn is None and _wanted(settings, "timescale"):
        found.append(Postgres(base / "postgres"))
    if settings.bigquery_project is None and _wanted(settings, "bigquery"):
        found.append(BigQuery(base / "bigquery"))
    return found


def _wanted(settings: Settings, sink: str) -> bool:
    return not settings.sinks or sink in settings.sinks


def worker_commands(settings: Settings) -> dict[str, list[str]]:
    """Command of each worker, by name: `dedupe`, `sink.timescale`.

    Raises ConfigurationError for a sink that does not exist.
    """
    agents = {name: command_of(name) for name in AGENTS}
    return agents | {f"sink.{sink}": command_of("sink", sink) for sink in settings.required_sinks}


def worker_environment(
    settings: Settings, number: int, left_out: frozenset[str] = frozenset()
) -> dict[str, str]:
    """This process's environment, and every setting that is set, as `SIGSTREAM_*` variables.

    But for `left_out`: what workers read in the settings file, as a variable would go before it. Worker
    `number` (from 0) serves its metrics at a port of its own.
    """
    port = settings.metrics_port + number if settings.metrics_port else 0
    given = {"data_dir": settings.data_dir.absolute(), **({"metrics_port": port} if port else {})}
    told = variables(settings.model_copy(update=given))
    return {**os.environ, **{k: v for k, v in told.items() if k not in left_out}, "PYTHONUNBUFFERED": "1"}


def _workers_read() -> frozenset[str]:
    """Variables that may change and are from the settings file."""
    found = RELOADABLE & read_settings_file(settings_path()).keys()
    return frozenset(variable(name) for name in found if not in_environment(name))


def _without_leftovers(settings: Settings, file: Path) -> Settings:
    """Without addresses that only come from the file of an `up` that was killed."""
    try:
        leftovers = orjson.loads(file.read_bytes())
    except FileNotFoundError:
        return settings
    same = {key: None for key, value in leftovers.items() if plain(getattr(settings, key)) == value}
    return settings.model_copy(update=same)


def _overview(up: Up) -> dict[str, str]:
    return {
        "servers": ", ".join(server.name for server in up.servers) or "none of our own",
        "workers": ", ".join(worker.name for worker in up.workers),
    }
