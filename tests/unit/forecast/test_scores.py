"""Losses and running means, by hand."""

from math import log

import pytest

from app.forecast.averages import follow, weight_of
from app.forecast.scores import covers, pinball, running, skill, volatility


@pytest.mark.parametrize(
    ("forecast", "actual", "share", "loss"),
    [
        (2.0, 6.0, 0.25, 1.0),  # 4 too low, a quarter a unit
        (6.0, 2.0, 0.25, 3.0),  # 4 too high, three quarters a unit
        (2.0, 6.0, 0.75, 3.0),
        (6.0, 2.0, 0.5, 2.0),  # half of the absolute error
        (2.0, 2.0, 0.25, 0.0),
    ],
)
def test_pinball(forecast: float, actual: float, share: float, loss: float) -> None:
    assert pinball(forecast, actual, share) == loss


def test_both_ends_of_an_interval_belong_to_it() -> None:
    assert [covers(1.0, 2.0, actual) for actual in (0.9, 1.0, 1.5, 2.0, 2.1)] == [0, 1, 1, 1, 0]


def test_skill() -> None:
    assert skill(1.0, 4.0) == 0.75
    assert skill(4.0, 4.0) == 0.0
    assert skill(6.0, 4.0) == -0.5
    assert skill(0.0, 0.0) is None


def test_volatility_is_the_same_up_and_down() -> None:
    assert volatility(3.0, 1.0) == pytest.approx(log(2))
    assert volatility(1.0, 3.0) == volatility(3.0, 1.0)
    assert volatility(0.0, 0.0) == 0.0


def test_means_begin_with_equal_weights_and_then_forget() -> None:
    assert running([], [4.0], 0, 0.25) == [4.0]
    assert running([4.0], [8.0], 1, 0.25) == [6.0]
    assert running([6.0], [10.0], 9, 0.25) == [7.0]
    assert follow([0.0], [1.0], 1000, weight_of(10.0))[0] == pytest.approx(1 - 0.5**0.1)


def test_a_weight_halves_after_its_half_life() -> None:
    mean, weight = [1.0], weight_of(5.0)
    for _ in range(5):
        mean = follow(mean, [0.0], 1000, weight)
    assert mean[0] == pytest.approx(0.5)
