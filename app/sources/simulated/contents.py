"""What the blocks of a scenario hold: which are empty or full, and whose header times are equal. Pure."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace

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
        content = self.content_of(place)
        source = self.time_from(place)
        if source != place:
            content = replace(content, time=_TIME.decode(self.make(source)).time)
        return make_block(self.world, place, content)

    def content_of(self, place: Place) -> Content:
        """What the block at `place` holds, its time left open."""
        return Content(self.transactions, None if place.fork else self.fullness.get(place.height))

    def time_from(self, place: Place) -> Place:
        """The block whose header time the one at `place` has: itself, or another one."""
        height = place.height
        if place.fork and int(hash_of(self.world, height, place.fork)[-1], 16) % 2 == 0:
            return place
        while height in self.equal_times:
            height -= 1
        return Place(height)
