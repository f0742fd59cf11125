"""Whether a file has changed since it was read."""

from pathlib import Path

Stamp = tuple[int, int, int] | None
"""Time of the last change (ns), size (bytes) and number of a file; None where there is none."""


def stamp_of(path: Path) -> Stamp:
    """As of now; of what a link leads to."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class Watched:
    """A file that is to be read again when it changes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = self._seen = stamp_of(path)

    def settled(self) -> bool:
        """Whether it is another than was read, and the same as at the last look: nobody writes to it now."""
        before, self._seen = self._seen, stamp_of(self.path)
        return before == self._seen != self._read

    def reading(self) -> None:
        """It is about to be read: what changes from here on is seen the next time."""
        self._read = self._seen = stamp_of(self.path)
