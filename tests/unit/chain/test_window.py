"""Robust z: known cases, and what must hold for any history."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chain.window import robust_z

NUMBERS = st.floats(-1e9, 1e9)


def test_one_mad_away() -> None:
    history = [float(number) for number in range(1, 12)]  # median 6, MAD 3
    assert robust_z(9.0, history) == pytest.approx(1 / 1.4826)
    assert robust_z(6.0, history) == 0.0
    assert robust_z(3.0, history) == pytest.approx(-1 / 1.4826)


def test_one_wild_value_in_the_history_changes_little() -> None:
    calm = [float(number) for number in range(1, 12)]
    usual, wild = robust_z(9.0, calm), robust_z(9.0, [*calm[:-1], 1e12])
    assert usual is not None
    assert wild == pytest.approx(usual)


@pytest.mark.parametrize("length", [0, 1, 9])
def test_a_short_history_says_nothing(length: int) -> None:
    assert robust_z(1.0, [1.0, 2.0, 3.0] * 3 if length == 9 else [1.0] * length) is None


def test_the_minimum_is_ones_own() -> None:
    assert robust_z(2.0, [1.0, 2.0, 3.0], minimum=3) == 0.0
    assert robust_z(2.0, [], minimum=0) is None


def test_where_mad_is_zero_the_mean_deviation_measures() -> None:
    history = [5.0] * 9 + [15.0]  # mean deviation 1
    assert robust_z(10.0, history) == pytest.approx(5 / 1.2533)


def test_a_history_of_one_value() -> None:
    assert robust_z(5.0, [5.0] * 20) == 0.0
    assert robust_z(5.1, [5.0] * 20) is None


def test_what_is_too_far_away_for_a_double() -> None:
    assert robust_z(1e9, [0.0, 5e-324] * 6) is None


@given(NUMBERS, st.lists(NUMBERS, max_size=40))
def test_it_is_finite_and_does_not_depend_on_order(value: float, history: list[float]) -> None:
    z = robust_z(value, history)
    assert z is None or math.isfinite(z)
    assert robust_z(value, history[::-1]) == z
