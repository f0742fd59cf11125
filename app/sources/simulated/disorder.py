"""The order in which blocks come when the network is at its worst. Pure.

Every block has a position in perfect order; a copy of it comes a while after. Nothing comes more than
`HORIZON` positions later than it should.
"""

from collections.abc import Sequence
from random import Random

NEAR = 50
"""Every block may come this many positions later: partitions are read one after the other."""
HORIZON = 1000
"""The longest delay, in positions: short of where the chain forgets what is below it."""
GAP_BLOCKS = 5
"""Most blocks in a row that are withheld together."""


def disordered(
    rng: Random, length: int, gaps: Sequence[Sequence[int]], late: Sequence[int], doubles: Sequence[int]
) -> list[int]:
    """Positions 0 to `length` - 1, each at least once, in the order of delivery.

    The positions of `gaps` are withheld up to HORIZON and come in a row, those of `late` come up to half
    as long after their neighbours, those of `doubles` come a second time.
    """
    due: dict[int, float] = {at: at + rng.uniform(0, NEAR) for at in range(length)}
    due |= {at: at + rng.uniform(NEAR, HORIZON / 2) for at in late}
    for gap in gaps:
        end = gap[0] + rng.uniform(HORIZON / 2, HORIZON - GAP_BLOCKS)
        due |= {at: end + n / GAP_BLOCKS for n, at in enumerate(gap)}
    copies = [(at + rng.uniform(0, HORIZON), at) for at in doubles]
    return [at for _, at in sorted([*((when, at) for at, when in due.items()), *copies])]
