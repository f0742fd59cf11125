"""`sigstream up`: workers that end are started again, all end together, addresses are published."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from app.config import Settings, plain
from app.errors import ConfigurationError, ServerDidNotStart
from app.supervisor import Up, embedded_servers, worker_commands, worker_environment
from app.worker_child import WorkerChild, next_pause

PATIENT = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("drained", flush=True), sys.exit(0)))
print("ready", flush=True)
time.sleep(600)
"""
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("ready", child.pid, flush=True)
time.sleep(600)
"""
SUPERVISOR = """
import sys
from pathlib import Path
from app.config import Settings, plain
from app import supervisor
supervisor.worker_commands = lambda settings: {"patient": [sys.executable, "-c", sys.argv[2]]}
settings = Settings(_env_file=None, data_dir=Path(sys.argv[1]), kafka="127.0.0.1:9", sinks=("sqlite",))
sys.exit(supervisor.run_up(settings))
"""


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def off(tmp_path: Path, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that need no embedded server."""
    for name in [name for name in os.environ if name.startswith("SIGSTREAM_")]:
        monkeypatch.delenv(name)
    return Settings(
        _env_file=None,
        namespace=namespace,
        data_dir=tmp_path / "data",
        kafka="127.0.0.1:9",
        sinks=("sqlite",),
    )


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_pauses_grow_to_half_a_minute_and_a_good_run_resets_them() -> None:
    pauses = [0.0]
    for _ in range(7):
        pauses.append(next_pause(pauses[-1], ran_s=3))
    assert pauses[1:] == [1, 2, 4, 8, 16, 30, 30]
    assert next_pause(30, ran_s=60) == 1


def test_a_worker_that_ends_is_started_again(off: Settings, lines: list[str]) -> None:
    with Up(off, commands={"w": python("print('here'); raise SystemExit(3)")}, write=lines.append) as up:
        assert up.wait_until(lambda: up.workers[0].starts == 3, timeout_s=20), lines
    assert lines[:2] == ["w | here", "w | here"]


def test_a_killed_worker_comes_back(off: Settings, lines: list[str]) -> None:
    with Up(off, commands={"w": python(PATIENT)}, write=lines.append) as up:
        assert up.wait_until(lambda: lines == ["w | ready"], timeout_s=20), lines
        pid = up.workers[0].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert up.wait_until(lambda: len(lines) == 2, timeout_s=20), lines
        assert up.workers[0].pid != pid
    assert lines == ["w | ready", "w | ready", "w | drained"]


def test_a_worker_that_does_not_stop_is_killed_with_all_it_started(lines: list[str]) -> None:
    worker = WorkerChild("w", python(STUBBORN), os.environ, lines.append)
    worker.poll()
    until(lambda: lines, "worker's first line")
    worker.ask_to_stop()
    assert worker.wait(time.monotonic() + 0.5) == -signal.SIGKILL
    until(lambda: not is_alive(int(lines[0].split()[1])), "end of the worker's child")


def test_hurrying_ends_a_stop_at_once(off: Settings, lines: list[str]) -> None:
    with Up(off, commands={"w": python(STUBBORN)}, write=lines.append) as up:
        assert up.wait_until(lambda: bool(lines), timeout_s=20)
        up.hurry()
        begin = time.monotonic()
    assert time.monotonic() - begin < 5


def test_an_up_beside_another_is_refused_and_leaves_its_file_alone(off: Settings) -> None:
    with Up(off, commands={}):
        with pytest.raises(ConfigurationError, match=f"in use by process {os.getpid()}"):
            Up(off, commands={}).start()
        refused = Up(off, commands={})
        with pytest.raises(ConfigurationError):
            refused.start()
        refused.stop()  # as `run_up` does, whatever happened
        assert (off.data_dir / "servers.json").read_bytes() == b"{}"
    assert not (off.data_dir / "servers.json").exists()


def test_servers_are_those_that_sinks_need_and_no_address_is_set_of(off: Settings) -> None:
    def names(**change: object) -> list[str]:
        return [server.name for server in embedded_servers(off.model_copy(update=change))]

    assert names() == []
    assert names(kafka=None) == ["kafka"]
    assert names(kafka=None, sinks=()) == ["kafka", "postgres", "bigquery"]
    assert names(sinks=("timescale",)) == ["postgres"]
    assert names(sinks=(), timescale_dsn="postgresql://other/db", bigquery_project="p") == []


def test_workers_are_told_every_setting(off: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = off.model_copy(update={"sinks": ("sqlite", "timescale"), "uppercase_symbols": True})
    for name, value in worker_environment(settings, 0).items():
        monkeypatch.setenv(name, value)
    assert Settings(_env_file=None) == settings
    assert list(worker_commands(settings)) == [
        "blocks",
        "dedupe",
        "receipts",
        "sink.sqlite",
        "sink.timescale",
    ]


def test_a_server_that_ends_comes_back_and_its_address_is_published(
    off: Settings, servers_dir: Path, namespace: str, lines: list[str]
) -> None:
    settings = off.model_copy(update={"data_dir": servers_dir / namespace, "sinks": ("timescale",)})
    show = "import os; print(os.environ['SIGSTREAM_TIMESCALE_DSN'], flush=True); import time; time.sleep(600)"
    with Up(settings, commands={"w": python(show)}, write=lines.append) as up:
        published = settings.data_dir / "servers.json"
        dsn = orjson.loads(published.read_bytes())["timescale_dsn"]
        assert published.stat().st_mode & 0o077 == 0
        assert plain(up.settings.timescale_dsn) == dsn
        assert up.wait_until(lambda: lines == [f"w | {dsn}"], timeout_s=20), lines
        [server] = up.servers
        before = server.pid
        os.kill(before, signal.SIGKILL)
        assert up.wait_until(lambda: server.running and server.pid != before, timeout_s=20)
        assert plain(up.settings.timescale_dsn) == dsn
    assert not published.exists()
    assert not server.running


def test_addresses_left_by_a_killed_up_are_not_taken_for_servers_of_others(off: Settings) -> None:
    off.data_dir.mkdir()
    (off.data_dir / "servers.json").write_text('{"kafka": "127.0.0.1:9"}')
    assert Up(off).settings.kafka is None
    assert Up(off.model_copy(update={"kafka": "kafka:9092"})).settings.kafka == "kafka:9092"


def test_when_a_server_does_not_start_nothing_runs(off: Settings, lines: list[str]) -> None:
    settings = off.model_copy(update={"sinks": ("bigquery",)})
    data = settings.data_dir / "servers" / "bigquery" / "data"
    data.mkdir(parents=True)
    (data / "bqemulator.duckdb").write_text("nonsense " * 2000)
    up = Up(settings, commands={"w": python(PATIENT)}, write=lines.append)
    with pytest.raises(ServerDidNotStart, match="not a valid DuckDB database"):
        up.start()
    assert up.workers == []
    assert not (settings.data_dir / "servers.json").exists()
    with Up(off, commands={}):  # the directory is free
        pass


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`run_up` with one worker in a process of its own, and the worker's number."""
    command = [sys.executable, "-c", SUPERVISOR, str(tmp_path / "data"), PATIENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "ready" in process.stdout.readline()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield process, int(children[0])
        process.kill()


def test_a_signal_drains_workers_and_ends_up(running: tuple[subprocess.Popen[str], int]) -> None:
    process, worker = running
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert output == "patient | drained\n"
    assert not is_alive(worker)


def test_workers_end_with_an_up_that_was_killed(running: tuple[subprocess.Popen[str], int]) -> None:
    process, worker = running
    assert is_alive(worker)
    process.kill()
    until(lambda: not is_alive(worker), "end of the worker")


def is_alive(pid: int) -> bool:
    """Not as a zombie: in a container, nobody may collect those."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def until(condition: Callable[[], object], missing: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, missing
        time.sleep(0.02)
