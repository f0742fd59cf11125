"""What processors see of the blocks before theirs, on their own branch."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec

from app.chain.window import YEAR_BLOCKS

WINDOW = 144
"""Blocks of a day: the window of most statistics."""
MOST = 1008
"""Blocks of a week: the longest window of single blocks. `sums` reach further back."""
YEAR = YEAR_BLOCKS
"""Blocks of 365 days: as far as `sums` reach."""

Totals = Mapping[str, int]
"""Running sums of all amounts since the chain's start, as of one block."""


class Past(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a block leaves behind for later ones."""

    height: int
    hash: str
    missing: int = 0
    """Heights just below it that never came."""
    values: dict[str, float] = {}
    """Name -> value of its signals."""
    traces: dict[str, msgspec.Raw] = {}
    states: dict[str, msgspec.Raw] = {}
    totals: dict[str, int] = {}
    blocks: int = 1
    """Blocks that `totals` count."""


_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def kept(value: Any) -> msgspec.Raw:
    """A trace or a state as a table keeps it, JSON: nobody can change it any more. Raises TypeError."""
    return msgspec.Raw(_encode(value))


def _nothing(_height: int) -> Past | None:
    return None


class History:
    """Blocks strictly before one block, oldest first, at most `MOST`; `at` finds older ones by height."""

    def __init__(
        self, pasts: Sequence[Past] = (), at: Callable[[int], Past | None] = _nothing, missing: int = 0
    ) -> None:
        self.pasts = pasts
        self._at = at
        self._missing = missing
        self.completeness = 1.0 - self.missing() / WINDOW
        """Share of a day's blocks that came: 1 without gaps."""

    def __len__(self) -> int:
        return len(self.pasts)

    def missing(self, blocks: int = WINDOW) -> int:
        """How many of the `blocks` heights before never came: gaps, not the chain's start."""
        return min(blocks, self._missing + sum(past.missing for past in self.pasts[-blocks:]))

    def values(self, name: str, blocks: int = WINDOW) -> list[float]:
        """Values of the signal `name` in the last `blocks` blocks, oldest first; blocks without it are
        left out."""
        if blocks == WINDOW:
            return self._columns.get(name, [])[:]
        return [past.values[name] for past in self.pasts[-blocks:] if name in past.values]

    @cached_property
    def _columns(self) -> dict[str, list[float]]:
        """By name, once for all signals of a block."""
        columns: defaultdict[str, list[float]] = defaultdict(list)
        for past in self.pasts[-WINDOW:]:
            for name, value in past.values.items():
                columns[name].append(value)
        return columns

    def traces(self, processor: str, blocks: int = WINDOW) -> list[Any]:
        """What the processor left with each of the last `blocks` blocks, oldest first."""
        return [_decode(past.traces[processor]) for past in self.pasts[-blocks:] if processor in past.traces]

    def state(self, processor: str) -> Any:
        """What the processor's state was after the block before; None where there is none."""
        found = self.pasts[-1].states.get(processor) if self.pasts else None
        return _decode(found) if found is not None else None

    def sums(self, blocks: int) -> tuple[dict[str, int], int]:
        """Sums of all amounts over the last `blocks` heights, or as many as are known, and how many
        blocks they count."""
        if not self.pasts:
            return {}, 0
        last = self.pasts[-1]
        start = self._at(last.height - blocks)
        if start is None or blocks <= 0:
            return dict(last.totals), last.blocks
        return _less(last.totals, start.totals), last.blocks - start.blocks


def _less(later: Totals, earlier: Totals) -> dict[str, int]:
    return {name: total - earlier.get(name, 0) for name, total in later.items()}
