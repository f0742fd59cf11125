"""What the benches with servers share: a place, servers of their own, contenders as processes."""

import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from app.config import Settings
from app.embedded.leash import leashed
from app.supervisor import worker_environment

REPOSITORY = Path(__file__).resolve().parents[1]
STOP_S = 20.0


@contextmanager
def temporary_place() -> Iterator[Path]:
    """A directory for servers and workers; the user that PostgreSQL runs as may pass through it."""
    logging.getLogger("aiokafka").setLevel(logging.ERROR)  # it warns of what it tries again
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("warning"))
    directory = Path(tempfile.mkdtemp(prefix="sigstream-bench-"))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def bench_settings(place: Path, namespace: str, **fields: object) -> Settings:
    """Settings of one run, whatever the environment or `.env` say."""
    for name in [name for name in os.environ if name.startswith("SIGSTREAM_")]:
        del os.environ[name]
    directory = place / namespace
    directory.mkdir(parents=True, exist_ok=True)
    values = {"namespace": namespace, "data_dir": directory, **fields}
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


@contextmanager
def running(
    command: Sequence[str], directory: Path, environment: Mapping[str, str] | None = None
) -> "Iterator[Running]":
    """A process within the context; what is given is called to see that it has not ended by itself."""
    log = directory / "log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            leashed(list(command)),
            cwd=directory,
            env={**(environment or os.environ), "PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield Running(process, log)
    finally:
        _end(process)


@dataclass(frozen=True)
class Running:
    """A process that is expected to run."""

    process: subprocess.Popen[bytes]
    log: Path

    def __call__(self) -> None:
        """Raises RuntimeError once it has ended."""
        if self.process.poll() is not None:
            tail = self.log.read_text(errors="replace")[-3000:]
            raise RuntimeError(
                f"{self.process.args!r} ended with exit code {self.process.returncode}; its log ends:\n{tail}"
            )

    @property
    def resident_bytes(self) -> int:
        """What it holds in memory now (VmRSS)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) * 1024


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def product_worker(settings: Settings, *name: str) -> tuple[list[str], Path, dict[str, str]]:
    """Arguments of `running` for `sigstream worker NAME ...`."""
    command = [sys.executable, "-P", "-m", "app.main", "worker", *name]
    return command, settings.data_dir, worker_environment(settings, 0)


def program(file: str, *arguments: object) -> list[str]:
    """Command of one of the bench's own programs."""
    return [sys.executable, str(REPOSITORY / "bench" / file), *(str(argument) for argument in arguments)]
