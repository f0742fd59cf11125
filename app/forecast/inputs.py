"""What the regressions see of a block and of those before it. Pure.

Fee rates are seen as `ln(1 + rate / scale)`, where `scale` is twice their slow mean: near-linear where rates
are as usual, logarithmic where they are far above. All rates are seen relative to a fast mean of the median
(the base): ten times the fee rates give the same inputs, and ten times the forecast.
"""

from collections.abc import Sequence
from math import expm1, fsum, log, log1p

import msgspec

from app.forecast.averages import follow, weight_of
from app.forecast.scores import volatility
from app.model.block import MAX_BLOCK_WEIGHT, MAX_MONEY_SAT
from app.model.features import BlockFeatures

MEASURED = (1, 2, 3)
"""Of the percentiles 10, 25, 50, 75, 90: those that are averaged and forecast."""
MEDIAN = 1
"""Among the measured."""
SCALE = 2.0
SMALLEST_SCALE = 0.1
"""sat/vB."""
SPIKE = 50.0
"""Scales above which a rate counts as that: one absurd block must not govern the means for days."""
FARTHEST = 5.0
"""Inputs beyond are cut off."""
STEEPEST = 10.0
"""Of `Inputs.stretch`."""
LARGEST_EXPONENT = 30.0
BLOCK_S = 600.0
SHORTEST_S = 30.0
USUAL_TXS = 3000.0
USUAL_FULLNESS = 0.9


class Seen(msgspec.Struct, frozen=True):
    """What is remembered of the blocks so far."""

    time: int
    """Header time of the last block, seconds since 1970."""
    blocks: int
    rates: list[float]
    """The last block's measured percentiles, sat/vB."""
    change: float
    """Its volatility."""
    means: list[list[float]]
    """By half-life, the base's first: means of the measured percentiles (sat/vB), of the volatility, and
    of the logarithm of the time between blocks."""


class Inputs(msgspec.Struct, frozen=True):
    """What the forecasts of the next block are made of."""

    values: list[float]
    scale: float
    """sat/vB."""
    bases: list[float]
    """Of the measured percentiles and of the volatility: what the forecasts are corrections of."""

    def stretch(self, feerate: float) -> float:
        """By how much a step in the inputs' space is longer in sat/vB at `feerate` than at 0."""
        return min(STEEPEST, (feerate + self.scale) / self.scale)

    def feerate(self, which: int, correction: float) -> float:
        """A forecast in sat/vB, at least 0."""
        return max(0.0, self.scale * expm1(min(LARGEST_EXPONENT, self.bases[which] + correction)))

    def volatility(self, correction: float) -> float:
        """A forecast of the volatility, at least 0."""
        return max(0.0, self.bases[-1] + correction)


def has_rates(features: BlockFeatures) -> bool:
    """Whether the block says anything of fee rates: five percentiles, of what there is of money."""
    rates = features.feerate_percentiles
    return len(rates) == 5 and all(0.0 <= rate <= MAX_MONEY_SAT for rate in rates)


def look(seen: Seen | None, features: BlockFeatures, half_lives: Sequence[float]) -> tuple[Seen, Inputs]:
    """What is remembered after the block, and what there is to forecast the next one by.

    `half_lives` in blocks: the base's, then those of the means that are inputs; the longest one's means
    are the scale.
    """
    rates = [features.feerate_percentiles[which] for which in MEASURED]
    change = volatility(rates[MEDIAN], seen.rates[MEDIAN]) if seen else 0.0
    pause = _pause(features.time - seen.time) if seen else 0.0
    means = _means(seen, [*rates, change, pause], half_lives)
    now = Seen(features.time, seen.blocks + 1 if seen else 1, rates, change, means)
    return now, _inputs(now, features, pause)


def _pause(seconds: int) -> float:
    """Header times run backwards at times."""
    return log(max(SHORTEST_S, seconds) / BLOCK_S)


def _means(seen: Seen | None, values: list[float], half_lives: Sequence[float]) -> list[list[float]]:
    if seen is None:
        return [list(values) for _ in half_lives]
    most = SPIKE * _scale(seen.means)
    bounded = [*(min(most, rate) for rate in values[: len(MEASURED)]), *values[len(MEASURED) :]]
    return [
        follow(means, bounded, seen.blocks, weight_of(half_life))
        for means, half_life in zip(seen.means, half_lives, strict=True)
    ]


def _scale(means: Sequence[Sequence[float]]) -> float:
    return SCALE * fsum(means[-1][: len(MEASURED)]) / len(MEASURED) + SMALLEST_SCALE


def _inputs(seen: Seen, features: BlockFeatures, pause: float) -> Inputs:
    scale = _scale(seen.means)
    base, *slower = seen.means
    bases = [log1p(rate / scale) for rate in base[: len(MEASURED)]]
    middle = bases[MEDIAN]
    values = [log1p(rate / scale) - middle for rate in features.feerate_percentiles]
    for means in slower:
        values += [log1p(rate / scale) - middle for rate in means[: len(MEASURED)]]
        values += means[len(MEASURED) :]
    values += [seen.change, pause, log(max(1, features.tx_count) / USUAL_TXS)]
    values += [features.weight / MAX_BLOCK_WEIGHT - USUAL_FULLNESS, 1.0]
    return Inputs([max(-FARTHEST, min(FARTHEST, value)) for value in values], scale, [*bases, base[-2]])
