"""Linear quantile regressions, learnt one block at a time. Pure.

Each target's forecast is linear in the same inputs; the weights go down the gradient of its pinball loss
(Koenker and Bassett, "Regression Quantiles", 1978). Steps are normalised by coordinate as AdaGrad does
(Duchi, Hazan and Singer, 2011), except that the sum of squares forgets: a model that has run for years
must still follow the market. The sum is of squared inputs, not of gradients, as the gradient of a pinball
loss is an input times a constant; so all targets share it.
"""

from collections.abc import Sequence
from math import fsum, sqrt
from operator import mul

SMALLEST_SQUARE = 1e-6
"""Where sums of squares begin: an input that was always 0 makes no step."""
USUAL_SLOPE = 0.25
"""Square of a median's pinball gradient."""


def predict(weights: Sequence[float], inputs: Sequence[float]) -> float:
    """A target's forecast."""
    return fsum(map(mul, weights, inputs))


def next_squares(squares: Sequence[float], inputs: Sequence[float], keep: float) -> list[float]:
    """Sums of squares by input, after one more block; `keep` is what remains of the old sum, 0..1."""
    return [keep * total + USUAL_SLOPE * x * x for total, x in zip(squares, inputs, strict=True)]


def steps(squares: Sequence[float], inputs: Sequence[float], rate: float) -> list[float]:
    """How far each weight moves for a gradient of 1."""
    return [rate * x / sqrt(total) for total, x in zip(squares, inputs, strict=True)]


def learnt(
    weights: Sequence[float], step: Sequence[float], *, forecast: float, actual: float, share: float
) -> list[float]:
    """A target's weights after its forecast of the quantile `share` has met what came."""
    slope = share - 1.0 if actual < forecast else share
    return [weight + slope * distance for weight, distance in zip(weights, step, strict=True)]
