"""A processor over blocks of the past, as the agents run it, with its history in memory."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from app.errors import Terminal
from app.model.features import BlockFeatures
from app.processors.history import MOST, History, Past
from app.processors.run import Enabled, run_processors

H = TypeVar("H", bound=History)


class Replayed(NamedTuple):
    """A block, and the values of the signals it led to, by name."""

    features: BlockFeatures
    values: dict[str, float]


class Memory:
    """What blocks left behind: the last `MOST` whole, older ones without what only `History.sums` needs."""

    def __init__(self) -> None:
        self._near: list[Past] = []
        self._heights: list[int] = []
        self._totals: list[Past] = []

    def before(self, height: int) -> History:
        """The history of the block at `height`."""
        return self.before_as(History, height)

    def before_as(self, kind: type[H], height: int) -> H:
        """The same as one's own kind of history."""
        missing = height - self._heights[-1] - 1 if self._heights else 0
        return kind(self._near[-MOST:], self._at, missing)

    def add(self, past: Past) -> None:
        """The next block's."""
        past.missing = past.height - self._heights[-1] - 1 if self._heights else 0
        if len(self._near) >= 2 * MOST:
            del self._near[:MOST]
        self._near.append(past)
        self._heights.append(past.height)
        slim = msgspec.structs.replace(past, values={}, traces={}, states={})
        self._totals.append(slim)

    def _at(self, height: int) -> Past | None:
        index = bisect_right(self._heights, height)
        return self._totals[index - 1] if index else None


def replay(processor: Enabled, blocks: Sequence[BlockFeatures]) -> Iterator[Replayed]:
    """Each block in order with the signals it led to, computed from it and the blocks before it alone.

    Raises Terminal where the processor fails.
    """
    memory = Memory()
    for block in blocks:
        ran = run_processors([processor], block, memory.before(block.height), version=0, correlation_id=None)
        for name, error in ran.failures.items():
            raise Terminal(
                f"processor {name!r} failed at height {block.height}: {type(error).__name__}: {error}; "
                "correct it, or its parameters"
            ) from error
        memory.add(ran.past)
        yield Replayed(block, ran.past.values)
