"""A small disk of its own (tmpfs) that a test can fill: what it writes then ends in a real ENOSPC."""

import errno
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILLER = "filler"
MEGABYTE = 1 << 20
CAP_SYS_ADMIN = 1 << 21


def may_mount() -> bool:
    """Root may, except in most containers: the kernel asks for the capability, not for the user."""
    status = Path("/proc/self/status").read_text()
    return bool(int(status.partition("CapEff:")[2].split()[0], 16) & CAP_SYS_ADMIN)


@contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[Path]:
    """Mounted at `place`. Raises PermissionError where that is not allowed."""
    place.mkdir(parents=True, exist_ok=True)
    options = f"size={megabytes}m,mode=0755"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "sigstream-soak", str(place)], capture_output=True, text=True
    )
    if done.returncode:
        raise PermissionError(f"no disk of its own at {place}: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path) -> int:
    """Until nothing more goes in: bytes written. Raises AssertionError when the disk has no end."""
    with (disk / FILLER).open("ab", buffering=0) as file:
        for size in (MEGABYTE, 4096, 1):
            try:
                while file.tell() < 1 << 33:
                    file.write(b"\0" * size)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                continue
            raise AssertionError(f"{disk} is not full after {file.tell()} bytes")
        return file.tell()


def release(disk: Path) -> None:
    """There is room again."""
    (disk / FILLER).unlink(missing_ok=True)
