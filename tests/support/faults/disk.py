"""A small disk of its own (tmpfs) that a test can fill: what it writes then ends in a real ENOSPC."""

import errno
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILLER = "filler"
MEGABYTE = 1 << 20


@contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[Path]:
    """Mounted at `place`. Raises PermissionError for who may not mount: that takes root."""
    place.mkdir(parents=True, exist_ok=True)
    options = f"size={megabytes}m,mode=0755"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "sigstream-soak", str(place)], capture_output=True, text=True
    )
    if done.returncode:
        raise PermissionError(f"no disk of its own at {place}: {done.stderr.strip()}; run as root")
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
