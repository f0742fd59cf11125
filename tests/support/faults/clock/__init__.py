"""A worker's clock that a test can shift while it runs."""

import os
import struct
from pathlib import Path

from tests.support.processes import ROOT

HERE = Path(__file__).parent


class Clock:
    """One worker's; `environment` starts the worker with it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.shift(0.0)

    def environment(self) -> dict[str, str]:
        """For the worker's process; sitecustomize.py has the other half."""
        return {"CLOCK_FILE": str(self._file), "PYTHONPATH": os.pathsep.join(map(str, (HERE, ROOT)))}

    def shift(self, seconds: float) -> None:
        """From now on; reads are counted from 0."""
        if not self._file.exists():
            self._file.write_bytes(bytes(16))
        with self._file.open("r+b") as file:
            file.write(struct.pack("dd", seconds, 0.0))

    @property
    def reads(self) -> int:
        """How often the worker read a shifted time."""
        return int(struct.unpack("dd", self._file.read_bytes())[1])
