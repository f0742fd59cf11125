"""Robust statistics over a window of earlier blocks. Pure."""

from collections.abc import Sequence
from math import fsum, inf, isfinite

YEAR_BLOCKS = 52_560
"""365 days of 144 blocks: older coins are old, and sums over a year reach as far."""
MIN_HISTORY = 10
"""Fewer values say nothing about what is usual."""
MAD_TO_SIGMA = 1.4826
"""A normal distribution's standard deviation, in median absolute deviations."""
MEAN_AD_TO_SIGMA = 1.2533
"""The same, in mean absolute deviations."""


def robust_z(value: float, history: Sequence[float], *, minimum: int = MIN_HISTORY) -> float | None:
    """How unusual `value` is: `(value - median) / (1.4826 x MAD)`; None where that can't be said.

    None for fewer than `minimum` values. Where over half of the history is one value, the MAD is 0 and
    the mean absolute deviation from the median measures instead; where all of it is one value, that value
    is 0 and any other None, as is what is too far away for a double.
    """
    if len(history) < max(1, minimum):
        return None
    ordered = sorted(history)
    middle = _middle(ordered)
    if value == middle:
        return 0.0
    # Two runs, down and up, which sort in one merge.
    deviations = [abs(earlier - middle) for earlier in ordered]
    sigma = MAD_TO_SIGMA * _middle(sorted(deviations))
    sigma = sigma or MEAN_AD_TO_SIGMA * fsum(deviations) / len(deviations)
    z = (value - middle) / sigma if sigma else inf
    return z if isfinite(z) else None


def _middle(ordered: Sequence[float]) -> float:
    """Median of what is in order and not empty."""
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
