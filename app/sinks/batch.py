"""What a sink's worker has read and not yet written, and when it is enough for a write."""

import time
from dataclasses import dataclass

from app.config import Settings
from app.sinks.base import SinkRecord
from app.sinks.offsets import Owned
from app.streaming.record import Record


@dataclass(slots=True, frozen=True)
class Entry:
    """One record read; `content` is None for what is not written (repeats, dead letters)."""

    record: Record
    origin: int | None
    content: SinkRecord | None
    owned: Owned
    """The assignment under which it was read."""

    @property
    def size(self) -> int:
        """Bytes that it holds, written or not."""
        return len(self.record.value or b"")


class Batch:
    """Entries in the order of reading, counted in signals, bytes, age and idleness."""

    def __init__(self, config: Settings) -> None:
        self.limit(config)
        self._clear()

    def limit(self, config: Settings) -> None:
        """From now on, also for what is waiting."""
        self._most_signals = config.sink_batch_signals
        self._most_bytes = config.sink_batch_bytes
        self._most_s = config.sink_batch_age_ms / 1000
        self._idle_s = config.sink_batch_idle_ms / 1000

    def _clear(self) -> None:
        self._entries: list[Entry] = []
        self._signals = 0
        self._bytes = 0
        self._since: float | None = None
        self._last = 0.0

    def add(self, entry: Entry) -> None:
        """One more; its age counts from now when it is the first."""
        self._entries.append(entry)
        self._last = time.monotonic()
        if self._since is None:
            self._since = self._last
        if entry.content is not None:
            self._signals += len(entry.content.batch.signals)
        self._bytes += entry.size

    @property
    def full(self) -> bool:
        """Enough signals or bytes for a write."""
        return self._signals >= self._most_signals or self._bytes >= self._most_bytes

    @property
    def wait_s(self) -> float:
        """How long one may still wait for more; 0: write now."""
        if self._since is None:
            return self._most_s
        due = min(self._since + self._most_s, self._last + self._idle_s)
        return 0.0 if self.full else max(0.0, due - time.monotonic())

    def take(self) -> list[Entry]:
        """The next write: whole records, up to the limits; the rest stays."""
        signals = size = count = 0
        for entry in self._entries:
            count += 1
            if entry.content is not None:
                signals += len(entry.content.batch.signals)
            size += entry.size
            if signals >= self._most_signals or size >= self._most_bytes:
                break
        taken, rest = self._entries[:count], self._entries[count:]
        self._clear()
        for entry in rest:
            self.add(entry)
        return taken

    def drop(self, partitions: set[int]) -> None:
        """Forget what belongs to partitions that are somebody else's now."""
        kept = [entry for entry in self._entries if entry.record.partition not in partitions]
        self._clear()
        for entry in kept:
            self.add(entry)
