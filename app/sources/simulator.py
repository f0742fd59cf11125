"""A chain of its own, BTC-SIM: plausible blocks in any number, without a node. Pure.

A block is a function of seed and height alone (and of `fork`), so that a run can begin anywhere and a
longer one begins with the same blocks. What goes wrong on a real network is in `app.sources.scenario`.
"""

from collections.abc import Iterator

from app.sources.simulated.block import Place, make_block
from app.sources.simulated.transactions import POOLS

__all__ = ["CHAIN", "POOLS", "simulate"]

CHAIN = "BTC-SIM"


def simulate(blocks: int, seed: int, start_height: int = 0, *, fork: int = 0) -> Iterator[bytes]:
    """`blocks` blocks from `start_height` on, each as the JSON of `getblock <hash> 3`.

    With another `fork`, other blocks at the same heights: the first stands on the chain of fork 0, the
    others on one another, as in a reorganisation. 50 to 300 transactions a block; their weights are
    stretched to what fills a real one. On a chain that starts at 0, coins are young; from height
    5.1 million on, header times leave their 32 bits.
    """
    for height in range(start_height, start_height + blocks):
        yield make_block(seed, Place(height, fork, 0 if height == start_height else fork))
