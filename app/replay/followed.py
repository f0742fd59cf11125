"""A history that knows how far back each processor has looked."""

from app.processors.history import WINDOW, History

EVER = 2**31
"""Blocks that a state follows from: all."""


class Followed(History):
    """Of one block; `sums` are not followed: who uses them says `blocks` in the metadata."""

    _reached: dict[str, int] | None = None

    def values(self, name: str, blocks: int = WINDOW) -> list[float]:
        """See History."""
        self._follow(name.partition(".")[0], blocks)
        return super().values(name, blocks)

    def traces(self, processor: str, blocks: int = WINDOW) -> list[object]:
        """See History."""
        self._follow(processor, blocks)
        return super().traces(processor, blocks)

    def state(self, processor: str) -> object:
        """See History."""
        self._follow(processor, EVER)
        return super().state(processor)

    def too_short_for(self) -> set[str]:
        """Processors that have looked further back than it goes."""
        return {name for name, blocks in (self._reached or {}).items() if blocks > len(self)}

    def _follow(self, processor: str, blocks: int) -> None:
        if self._reached is None:
            self._reached = {}
        self._reached[processor] = max(blocks, self._reached.get(processor, 0))
