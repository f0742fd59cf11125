"""Logarithmic bins: every value in one, in order, and a quantile's edge that is never too low."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chain.histogram import bin_of, from_edge, histogram, lower_edge, top_edge
from app.model.block import MAX_MONEY_SAT

VALUES = st.lists(st.integers(0, MAX_MONEY_SAT), max_size=200)


@given(st.integers(0, 2**63))
def test_a_value_lies_between_its_bins_edges(value: int) -> None:
    number = bin_of(value)
    assert lower_edge(number) <= value < lower_edge(number + 1)


@given(st.integers(8, 240))
def test_a_bin_is_at_most_a_quarter_wide(number: int) -> None:
    low, high = lower_edge(number), lower_edge(number + 1)
    assert bin_of(low) == number
    assert 1.14 < high / low <= 1.25


@given(VALUES)
def test_counts_and_sums_are_the_values(values: list[int]) -> None:
    found = histogram(values)
    positive = [value for value in values if value]
    assert (sum(found.counts), sum(found.sums_sat)) == (len(positive), sum(positive))
    assert not found.counts or (found.counts[0] and found.counts[-1])


@given(st.lists(VALUES, min_size=1, max_size=4), st.sampled_from([0.001, 0.05, 0.5]))
def test_at_most_the_share_reaches_the_edge(blocks: list[list[int]], share: float) -> None:
    found = [histogram(values) for values in blocks]
    edge, total = top_edge([(part.first, part.counts) for part in found], share)
    positive = [value for values in blocks for value in values if value]
    assert total == len(positive)
    if positive:
        below = lower_edge(bin_of(edge) - 1)
        assert sum(value >= edge for value in positive) <= share * total
        assert sum(value >= below for value in positive) > share * total
        reached = [from_edge(part, edge) for part in found]
        assert sum(count for count, _ in reached) == sum(value >= edge for value in positive)
        assert sum(total for _, total in reached) == sum(value for value in positive if value >= edge)


@pytest.mark.parametrize("parts", [[], [(0, [])], [(5, [0, 0])]])
def test_nothing_has_no_edge(parts: list[tuple[int, list[int]]]) -> None:
    assert top_edge(parts, 0.001) == (0, 0)
