"""How good forecasts were: losses of one forecast, and running means of them. Pure.

A forecast is judged by the loss that its kind minimises: a quantile by the pinball loss, a median by the
absolute error (Gneiting, "Making and evaluating point forecasts", 2011).
"""

from collections.abc import Sequence
from math import log1p

from app.forecast.averages import follow

Means = list[float]


def pinball(forecast: float, actual: float, share: float) -> float:
    """Loss of a forecast of the quantile `share` (0..1), in the unit of both: what lies above it costs
    `share` a unit, what lies below it `1 - share`."""
    above = actual - forecast
    return share * above if above >= 0 else (share - 1.0) * above


def covers(low: float, high: float, actual: float) -> float:
    """1 where `actual` lies from `low` to `high`, both included; else 0."""
    return 1.0 if low <= actual <= high else 0.0


def skill(error: float, error_last_block: float) -> float | None:
    """`1 - error / error_last_block`: 1 is perfect, 0 as good as "same as last block", below 0 worse.

    None where "same as last block" was never wrong.
    """
    return 1.0 - error / error_last_block if error_last_block > 0.0 else None


def volatility(feerate: float, before: float) -> float:
    """Size of the change of a fee rate (sat/vB) from the block before: `|ln((now + 1) / (before + 1))|`.

    1 sat/vB is added, as rates below 1 sat/vB may be written as 0 (`getblockstats` does).
    """
    return abs(log1p(feerate) - log1p(before))


def running(means: Means, losses: Sequence[float], count: int, weight: float) -> Means:
    """Means of losses after one more of each; `count` came before. Equal weights at first, then
    `weight` for the newest."""
    return follow(means, losses, count, weight) if means else list(losses)
