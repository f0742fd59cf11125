"""How much of a backlog a Faust worker holds: in bytes, where Faust counts records.

Faust fetches until a stream's queue has some 3,000 records; of 30 kB that is a lot, of blocks it is more than
a machine has.
"""

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

MOST_BYTES = 64_000_000
LOOK_EVERY_S = 0.01
PATIENCE = 100
"""Looks after which what nobody needs may only wait for the garbage collector."""


class Backlog:
    """Bytes of the records that were read and are still somebody's: queued, handled, or held by a table."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self.bytes = 0

    def add(self, message: Any) -> None:
        """Count a Faust message for as long as it lives.

        Not with more than a quarter: Faust lets go of a stream's last one only when the next one comes, and
        none would come any more.
        """
        size = min(len(message.value or b""), self.most_bytes // 4)
        self.bytes += size
        weakref.finalize(message, self._release, size).atexit = False

    def _release(self, size: int) -> None:
        self.bytes -= size

    async def room(self, wanted: Callable[[], bool]) -> None:
        """Wait until there is some, for as long as anybody wants more."""
        looks = 0
        while self.bytes >= self.most_bytes and wanted():
            looks += 1
            if looks % PATIENCE == 0:
                gc.collect()
            await asyncio.sleep(LOOK_EVERY_S)
