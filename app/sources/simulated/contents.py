"""What the blocks of a scenario hold: which are empty or full, and whose header times are equal. Pure."""

from collections.abc import Mapping, Set
from dataclasses import dataclass

import msgspec

from app.sources.simulated.block import Content, Place, World, hash_of, make_block

FULL = 0.9999
"""Share of the largest weight in a full block."""


class _Time(msgspec.Struct):
    time: int


_TIME = msgspec.json.Decoder(_Time)


@dataclass(frozen=True)
class Contents:
    """Makes the blocks of a tree; about every other block beside the trunk has the header time of the
    trunk's block at its height, so that the signals of both have the same `ts`."""

    world: World
    transactions: tuple[int, int]
    fullness: Mapping[int, float]
    """Height -> share of the largest weight, of blocks of the trunk that are not as the market has it."""
    equal_times: Set[int]
    """Heights of the trunk's blocks with the header time of the block before."""

    def make(self, place: Place) -> bytes:
        """The block at `place`."""
        fullness = None if place.fork else self.fullness.get(place.height)
        content = Content(self.transactions, fullness, self._time(place))
        return make_block(self.world, place, content)

    def _time(self, place: Place) -> int | None:
        if not place.fork:
            return self._time_of_trunk(place.height - 1) if place.height in self.equal_times else None
        last_digit = hash_of(self.world, place.height, place.fork)[-1]
        return self._time_of_trunk(place.height) if int(last_digit, 16) % 2 else None

    def _time_of_trunk(self, height: int) -> int:
        while height in self.equal_times:
            height -= 1
        return _TIME.decode(self.make(Place(height))).time
