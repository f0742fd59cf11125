"""Who is told how far a replay is."""

from typing import Protocol

from app.observe import metrics


class Watch(Protocol):
    """Progress of a command."""

    def begin(self, what: str, total: int) -> None:
        """So many records or blocks lie ahead."""

    def advance(self, count: int) -> None:
        """So many are done."""

    def say(self, text: str) -> None:
        """A remark."""


class Counted:
    """A watch that counts for Prometheus, too."""

    def __init__(self, watch: Watch, target: str) -> None:
        self._watch = watch
        self._left = metrics.replay_left.labels(target)

    def begin(self, what: str, total: int) -> None:
        """See Watch."""
        self._left.set(total)
        self._watch.begin(what, total)

    def advance(self, count: int) -> None:
        """See Watch."""
        self._left.dec(count)
        self._watch.advance(count)

    def say(self, text: str) -> None:
        """See Watch."""
        self._watch.say(text)
