"""A worker's place on this machine: its own data directory, and a name that survives restarts."""

import fcntl
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import IO

MAX_WORKERS = 64


@dataclass(frozen=True, slots=True)
class Slot:
    """The n-th worker of a stage: `instance_id` gives it back its partitions after a restart."""

    directory: Path
    instance_id: str
    lock: IO[bytes]

    @property
    def state(self) -> Path:
        """What the worker remembers: of one Kafka, see `keep_state_of`."""
        return self.directory / "state"

    def keep_state_of(self, epoch: str) -> Path | None:
        """Make `state` that of this epoch; where it is another one's, set it aside and give its new place.

        Nothing is lost by it: state is a copy of what changelog topics hold.
        """
        mark, aside = self.state / "epoch", None
        before = mark.read_text() if mark.exists() else epoch
        if before != epoch:
            aside = self.directory / f"state-of-{before}"
            shutil.rmtree(aside, ignore_errors=True)
            self.state.rename(aside)
        self.state.mkdir(exist_ok=True)
        mark.write_text(epoch)
        return aside


def claim(data_dir: Path, group: str) -> Slot:
    """The first free slot of a consumer group, locked for as long as the process lives.

    A killed worker's lock goes with it, so the one that replaces it gets the same directory (its
    tables) and the same static membership (its partitions, without waiting for a session to end).
    """
    for number in range(MAX_WORKERS):
        directory = data_dir / "workers" / f"{group}-{number}"
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / "lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        os.set_inheritable(lock.fileno(), False)
        return Slot(directory, f"{group}-{_identity(directory)}", lock)
    raise RuntimeError(f"{MAX_WORKERS} workers of {group} run on {data_dir} already")


def _identity(directory: Path) -> str:
    """Of the slot, not of the host: two containers of one host name would throw each other out."""
    file = directory / "identity"
    if not file.exists():
        file.write_text(uuid.uuid4().hex)
    return file.read_text()
