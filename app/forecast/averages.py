"""Exponentially weighted means. Pure."""

from collections.abc import Sequence
from math import exp2


def weight_of(half_life: float) -> float:
    """The newest value's weight in a mean whose weights halve every `half_life` blocks."""
    return 1.0 - exp2(-1.0 / half_life)


def follow(means: Sequence[float], values: Sequence[float], count: int, weight: float) -> list[float]:
    """Means after one more value of each; `count` came before.

    The first values count equally, else the very first would stay in a slow mean for long.
    """
    share = max(weight, 1.0 / (count + 1))
    return [mean + share * (value - mean) for mean, value in zip(means, values, strict=True)]
