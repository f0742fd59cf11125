"""One owner at a time for a server's directory."""

import fcntl
import os
import sys
import time
from pathlib import Path

from app.errors import ConfigurationError

PATIENCE_S = 30.0
"""For a server whose owner is gone and that is about to end itself."""


class DirectoryLock:
    """An exclusive lock on a directory, shared with the server that runs on it.

    The server inherits the descriptor, so the directory stays locked until the owner has let go of it
    *and* the server has ended, also when the owner was killed.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / "lock"
        self._fd = -1

    @property
    def fd(self) -> int:
        """For `pass_fds` of the server's process."""
        return self._fd

    def acquire(self) -> None:
        """Raises ConfigurationError while another process, or another object here, has the lock."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        deadline = time.monotonic() + PATIENCE_S
        while not _locked(fd):
            holder = os.pread(fd, 200, 0).decode(errors="replace")
            if _alive(holder) or time.monotonic() > deadline:
                os.close(fd)
                raise ConfigurationError(
                    f"{self._path.parent} is in use by process {holder or '(unknown)'}: stop that one, "
                    "or set SIGSTREAM_DATA_DIR to another directory"
                )
            time.sleep(0.02)
        _write_holder(fd, f"{os.getpid()} ({' '.join(sys.argv)[:160]})")
        self._fd = fd

    def release(self) -> None:
        """Let go; a server that still runs on the directory keeps it locked until it ends."""
        if self._fd >= 0:
            _write_holder(self._fd, "")
            os.close(self._fd)
            self._fd = -1


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_holder(fd: int, text: str) -> None:
    os.ftruncate(fd, 0)
    os.pwrite(fd, text.encode(), 0)


def _alive(holder: str) -> bool:
    pid = holder.partition(" ")[0]
    if not pid:
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
