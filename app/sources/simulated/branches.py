"""Which branches a simulated chain loses in reorganisations, and where they begin. Pure."""

from dataclasses import dataclass
from random import Random

from app.errors import ConfigurationError
from app.sources.simulated.block import Place

NESTED_SHARE = 0.3
"""How often a branch is left for one that stands on it, before the trunk wins."""
NESTED_DEPTH = 3
"""A branch of two blocks, and one on its first block that is longer by one."""


@dataclass(frozen=True, slots=True)
class Reorg:
    """A place where the chain is not unanimous; `branches` in the order in which each was the best.

    The first stands on the trunk's block at `height - 1`, the second, if any, on a block of the first.
    The trunk takes over with its block at `height + depth`.
    """

    height: int
    """Of the lowest block that is lost."""
    depth: int
    """Heights that are lost when the trunk takes over."""
    branches: tuple[tuple[Place, ...], ...]


def plan_reorgs(rng: Random, start_height: int, blocks: int, count: int, max_depth: int) -> list[Reorg]:
    """Reorganisations of a trunk of `blocks` blocks, lowest first, with `count` branches in all.

    One of them has `max_depth`. Where two branches fit, some stand on another. Raises ConfigurationError
    when the trunk is too short for them.
    """
    shapes = _shapes(rng, count, max_depth)
    spare = blocks - 1 - sum(depth + 1 for depth, _ in shapes)
    if spare < 0:
        raise ConfigurationError(
            f"{blocks} blocks have no room for {count} reorganisations up to {max_depth} deep: ask for "
            f"{blocks - spare} blocks or more"
        )
    reorgs, height = [], start_height + 1
    cuts = sorted(rng.randint(0, spare) for _ in shapes)
    for (depth, nested), cut in zip(shapes, cuts, strict=True):
        reorgs.append(_reorg(rng, height + cut, depth, nested))
        height += depth + 1
    return reorgs


def _shapes(rng: Random, count: int, max_depth: int) -> list[tuple[int, bool]]:
    """(depth, whether two branches) until `count` branches are used up."""
    shapes: list[tuple[int, bool]] = []
    left = count
    while left:
        nested = left > 1 and max_depth >= NESTED_DEPTH and (not shapes or rng.random() < NESTED_SHARE)
        least = NESTED_DEPTH if nested else 1
        shapes.append((rng.randint(least, max_depth) if shapes else max_depth, nested))
        left -= 1 + nested
    rng.shuffle(shapes)
    return shapes


def _reorg(rng: Random, height: int, depth: int, nested: bool) -> Reorg:
    name = str(height)
    if not nested:
        return Reorg(height, depth, (_branch(name, 0, height, depth),))
    first = _branch(name, 0, height, depth - 1)
    base = rng.choice(first[:-1])
    second = _branch(f"{name}.{base.height}", name, base.height + 1, height + depth - base.height - 1)
    return Reorg(height, depth, (first, second))


def _branch(name: str, parent: int | str, height: int, length: int) -> tuple[Place, ...]:
    return tuple(Place(height + n, name, name if n else parent) for n in range(length))
