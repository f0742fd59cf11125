"""`sigstream demo`, the whole product in one command, as somebody runs it who has just installed it."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

DEADLINE_S = 300


def start(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    """`sigstream demo` in an empty environment and a directory of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SIGSTREAM_")}
    return subprocess.Popen(
        [sys.executable, "-m", "app.main", "demo", *arguments],
        env={**kept, "SIGSTREAM_DATA_DIR": str(directory), "PYTHONPATH": str(Path(__file__).parents[3])},
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Shells start programs in the background deaf to Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def counts(stdout: str) -> dict[str, str]:
    """Store -> distinct signals, from the first table."""
    stored = stdout.partition("Seconds from")[0]
    return dict(re.findall(r"│ ([a-z]+(?: \([a-z ]+\))?) +│ +([\d,]+) │", stored))


def processes_of(directory: Path) -> list[str]:
    """Command lines of what still runs with files in the directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(directory) in command and process.name != str(os.getpid()):
            found.append(command)
    return found


def test_two_runs_store_every_signal_once(servers_dir: Path) -> None:
    directory = servers_dir / "demo"
    directory.mkdir()
    seen = []
    for verdict in ("102 blocks sent;", "102 blocks sent, nothing new among them;"):
        running = start(directory)
        stdout, stderr = running.communicate(timeout=DEADLINE_S)
        assert running.returncode == 0, stdout + stderr
        assert verdict in stdout
        seen.append(counts(stdout))
    first, second = seen
    assert set(first) == {
        *("sqlite", "timescale", "bigquery (view of latest versions)", "bigquery (rows of history)")
    }
    assert len(set(first.values())) == 1
    assert first == second
    assert processes_of(directory) == []


def test_a_deadline_that_is_missed_is_a_failure_with_the_reason(servers_dir: Path) -> None:
    directory = servers_dir / "demo-late"
    directory.mkdir()
    running = start(directory, "--deadline", "1")
    stdout, stderr = running.communicate(timeout=DEADLINE_S)
    assert running.returncode == 1
    assert "Error: not settled within 1 s (" in stderr
    assert "Traceback" not in stderr
    assert stdout == ""
    assert processes_of(directory) == []


def test_ctrl_c_stops_all_it_has_started(servers_dir: Path) -> None:
    directory = servers_dir / "demo-interrupted"
    directory.mkdir()
    running = start(directory)
    deadline = time.monotonic() + DEADLINE_S
    while not (directory / "servers.json").exists():
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < deadline, "the servers did not start"
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    _, stderr = running.communicate(timeout=DEADLINE_S)
    assert running.returncode != 0
    assert "Traceback" not in stderr
    assert processes_of(directory) == []
