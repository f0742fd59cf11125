"""A simulated chain with all that goes wrong on a real network: reorganisations, gaps, late and repeated
blocks, equal header times, empty and full blocks. Pure.

What is the case (the tree of blocks, which branch is the chain in the end) is fixed by the options; in
which order one comes to know of it is another matter: `perfect` or `disturbed`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from random import Random

from app.errors import ConfigurationError
from app.sources.simulated.block import USUAL, Place, World, hash_of
from app.sources.simulated.branches import Reorg, plan_reorgs
from app.sources.simulated.contents import FULL, Contents
from app.sources.simulated.disorder import GAP_BLOCKS, disordered


@dataclass(frozen=True)
class Scenario:
    """A tree of blocks whose one longest branch is `main`, and deliveries of it.

    The same options give the same bytes. `gaps`, `late` and `doubles` change no block; nor do `blocks`
    and `reorgs` change a block of `main` while `equal_times`, `empty` and `full` are 0: then `main` is
    what `simulate` gives. Raises ConfigurationError for what has no room in `blocks`.
    """

    seed: int
    blocks: int
    """Of the final best chain."""
    reorgs: int = 0
    """Branches that are the best for a while and lost in the end."""
    max_depth: int = 3
    """Most blocks that leave the chain at once; one reorganisation has as many."""
    gaps: int = 0
    """Runs of 1 to 5 blocks withheld until 500 to 1,000 blocks later, or to the end."""
    late: int = 0
    """Blocks that come 50 to 500 blocks later than their neighbours."""
    doubles: int = 0
    """Blocks sent again, up to 1,000 blocks later."""
    equal_times: int = 0
    """Blocks with the header time of the block before them."""
    empty: int = 0
    """Blocks of nothing but a coinbase; the first one beside a lost block, where there is one."""
    full: int = 0
    """Blocks of nearly the largest weight."""
    start_height: int = 0
    transactions: tuple[int, int] = USUAL.transactions
    """Fewest and most of a block, the coinbase left out; few make small blocks, and make them fast."""

    def __post_init__(self) -> None:
        for name in ("reorgs", "gaps", "late", "doubles", "equal_times", "empty", "full", "start_height"):
            self._need(getattr(self, name) >= 0, name, "0 or more")
        self._need(self.blocks >= 1, "blocks", "1 or more")
        self._need(self.max_depth >= 1, "max_depth", "1 or more")
        self._need(0 <= self.transactions[0] <= self.transactions[1], "transactions", "(fewest, most)")
        self._need(self.equal_times < self.blocks, "equal_times", f"less than `blocks`, {self.blocks}")
        self._need(self.empty + self.full <= self.blocks, "empty", f"with `full` at most {self.blocks}")
        self._need(self.gaps <= self._gap_slots, "gaps", f"at most {self._gap_slots}, or more `blocks`")
        most = self.blocks - self.gaps * GAP_BLOCKS
        self._need(self.late <= most, "late", f"at most {most}, or more `blocks`")
        _ = self.reorganisations

    def _need(self, holds: bool, name: str, wanted: str) -> None:
        if not holds:
            raise ConfigurationError(f"`{name}` of the scenario is {getattr(self, name)}: give {wanted}")

    @property
    def main(self) -> list[bytes]:
        """The final best chain, lowest block first."""
        return self._made(self.trunk)

    @property
    def orphans(self) -> list[bytes]:
        """The blocks that are not on it in the end, in the order in which a node sees them."""
        return self._made(place for place in self.perfect_order() if place.fork)

    def perfect(self) -> list[bytes]:
        """All blocks as a node sees them: each once, parents first, a lost branch before what replaces it."""
        return self._made(self.perfect_order())

    def disturbed(self, seed: int = 0) -> list[bytes]:
        """All blocks, each at least once, in an order with the gaps, late blocks and doubles of `seed`."""
        return self._made(self.disturbed_order(seed))

    def withheld(self, seed: int = 0) -> list[bytes]:
        """The blocks of the gaps of `disturbed(seed)`, lowest first: without them, the gaps stay."""
        order = self.perfect_order()
        return self._made(order[at] for gap in self._gaps(self._rng(f"disturbed {seed}")) for at in gap)

    @cached_property
    def reorganisations(self) -> list[Reorg]:
        """Where the chain is not unanimous, lowest first."""
        rng = self._rng("reorgs")
        return plan_reorgs(rng, self.start_height, self.blocks, self.reorgs, self.max_depth)

    @cached_property
    def trunk(self) -> list[Place]:
        """Places of `main`."""
        return [Place(height) for height in range(self.start_height, self.start_height + self.blocks)]

    def perfect_order(self) -> list[Place]:
        """Places of `perfect`."""
        begins = {reorg.height: reorg for reorg in self.reorganisations}
        order: list[Place] = []
        for place in self.trunk:
            if place.height in begins:
                order.extend(lost for branch in begins[place.height].branches for lost in branch)
            order.append(place)
        return order

    def disturbed_order(self, seed: int = 0) -> list[Place]:
        """Places of `disturbed`: with `make`, a delivery that is never in memory as a whole."""
        order, rng = self.perfect_order(), self._rng(f"disturbed {seed}")
        gaps = self._gaps(rng)
        withheld = {at for gap in gaps for at in gap}
        late = rng.sample([at for at in range(len(order)) if at not in withheld], self.late)
        doubles = rng.choices(range(len(order)), k=self.doubles)
        return [order[at] for at in disordered(rng, len(order), gaps, late, doubles)]

    def make(self, place: Place) -> bytes:
        """The block at `place`, made anew."""
        return self._contents.make(place)

    def hashes(self, places: Iterable[Place]) -> list[str]:
        """Block hashes of `places`, without making the blocks."""
        return [hash_of(self._contents.world, place.height, place.fork) for place in places]

    def _made(self, places: Iterable[Place]) -> list[bytes]:
        cache = self._cache
        return [cache.get(place) or cache.setdefault(place, self.make(place)) for place in places]

    @cached_property
    def _cache(self) -> dict[Place, bytes]:
        return {}

    @cached_property
    def _contents(self) -> Contents:
        rng = self._rng("content")
        heights = range(self.start_height, self.start_height + self.blocks)
        chosen = rng.sample(heights, self.empty + self.full)
        for reorg in self.reorganisations[: min(1, self.empty)]:
            chosen = [reorg.height, *(height for height in chosen if height != reorg.height)]
        chosen = chosen[: self.empty + self.full]
        fullness = {height: 0.0 if n < self.empty else FULL for n, height in enumerate(chosen)}
        equal = set(rng.sample(heights[1:], self.equal_times))
        return Contents(self._world, self.transactions, fullness, equal)

    @property
    def _world(self) -> World:
        """The seed, and every option that changes what a block holds: another content, another hash."""
        options: tuple[object, ...] = ()
        if self.transactions != USUAL.transactions:
            options = self.transactions
        if self.equal_times or self.empty or self.full:
            chain = (self.start_height, self.blocks, self.reorgs, self.max_depth)
            options = (*options, *chain, self.equal_times, self.empty, self.full)
        return "|".join(map(str, (self.seed, *options))) if options else self.seed

    @property
    def _gap_slots(self) -> int:
        return max(0, self.blocks - 2) // (GAP_BLOCKS + 1)

    def _gaps(self, rng: Random) -> list[list[int]]:
        """Positions in perfect order of the blocks of each gap, lowest first: never the first or the tip."""
        trunk = [at for at, place in enumerate(self.perfect_order()) if not place.fork]
        starts = sorted(1 + slot * (GAP_BLOCKS + 1) for slot in rng.sample(range(self._gap_slots), self.gaps))
        return [trunk[start : start + rng.randint(1, GAP_BLOCKS)] for start in starts]

    def _rng(self, purpose: str) -> Random:
        return Random(f"{self.seed}|{purpose}")  # noqa: S311 - reproducible, not secret
