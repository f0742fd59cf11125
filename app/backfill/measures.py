"""How far a backfill is, for Prometheus; meanings in docs/backfill.md."""

from collections import deque

from prometheus_client import Gauge

WINDOW_S = 120.0
"""Seconds that the time left is estimated from."""

blocks_wanted = Gauge("sigstream_backfill_blocks_wanted", "Blocks of the range", ["namespace"])
blocks_stored = Gauge("sigstream_backfill_blocks_stored", "Blocks that every sink has stored", ["namespace"])
signals_stored = Gauge(
    "sigstream_backfill_signals_stored", "Signals that every sink has stored", ["namespace"]
)
seconds_left = Gauge("sigstream_backfill_seconds_left", "Estimated time left; -1: unknown", ["namespace"])


class Pace:
    """The time left, by what was done in the last two minutes."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def left_s(self, now_s: float, done: int, total: int) -> float | None:
        """Seconds until `done` is `total`; None: nothing was done yet, or not lately."""
        self._seen.append((now_s, done))
        while self._seen[0][0] < now_s - WINDOW_S:
            self._seen.popleft()
        since_s, before = self._seen[0]
        if done >= total:
            return 0.0
        return (total - done) * (now_s - since_s) / (done - before) if done > before else None
