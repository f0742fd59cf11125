"""One step of a quantile regression by hand, and where many lead."""

from math import sqrt
from random import Random

import pytest

from app.forecast.learner import learnt, next_squares, predict, steps


def test_a_step_by_hand() -> None:
    inputs = [2.0, -1.0]
    assert predict([0.5, 3.0], inputs) == -2.0
    squares = next_squares([8.0, 0.75], inputs, 0.5)
    assert squares == [5.0, 0.625]  # 0.5 x 8 + 0.25 x 2^2, 0.5 x 0.75 + 0.25 x 1^2
    step = steps(squares, inputs, 0.1)
    assert step == [pytest.approx(0.2 / sqrt(5.0)), pytest.approx(-0.1 / sqrt(0.625))]
    higher = learnt([0.0, 0.0], step, forecast=-2.0, actual=1.0, share=0.25)
    assert higher == [pytest.approx(0.25 * d) for d in step]
    lower = learnt([0.0, 0.0], step, forecast=1.0, actual=-2.0, share=0.25)
    assert lower == [pytest.approx(-0.75 * d) for d in step]


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_it_finds_the_quantile(share: float) -> None:
    chance, weights, squares = Random(3), [0.0], [1e-6]
    below = 0
    for n in range(8000):
        made, actual = predict(weights, [1.0]), chance.expovariate(1.0)
        below += n >= 1000 and actual < made
        squares = next_squares(squares, [1.0], 0.9995)
        step = steps(squares, [1.0], 0.3)
        weights = learnt(weights, step, forecast=made, actual=actual, share=share)
    assert below / 7000 == pytest.approx(share, abs=0.02)
