"""How the keys that were read are cut into what a store is asked for."""

from itertools import pairwise

import pytest

from app.verify.scratch import Scratch, scratch
from app.verify.stores import BEGIN, END, KEYS, Slice, slices
from tests.support.signals import ts_of


def read(held: Scratch, series: str, numbers: range) -> None:
    """As if these had been forwarded, two signals a key."""
    keys = [f"{series}|{ts_of(number)}" for number in numbers]
    held.add("forward", [(0, 0, 0, key, name, 1, 1) for key in keys for name in "ab"])


@pytest.mark.parametrize(
    ("complete", "first", "end"), [(True, BEGIN, END), (False, ts_of(0), ts_of(2 * KEYS + 9)[:-2] + "1Z")]
)
def test_a_range_ends_with_its_keys(complete: bool, first: str, end: str) -> None:
    with scratch() as held:
        read(held, "p|AAA", range(2 * KEYS + 10))
        held.run("index")
        cuts = [first, ts_of(KEYS), ts_of(2 * KEYS), end]
        assert slices(held, complete=complete) == [Slice("p", "AAA", *pair) for pair in pairwise(cuts)]


def test_each_series_has_its_own() -> None:
    with scratch() as held:
        read(held, "p|AAA", range(5, 6))
        read(held, "p|BBB", range(KEYS))
        read(held, "p", range(0))
        held.run("index")
        behind = [ts_of(number)[:-2] + "1Z" for number in (5, KEYS - 1)]
        expected = [Slice("p", "AAA", ts_of(5), behind[0]), Slice("p", "BBB", ts_of(0), behind[1])]
        assert slices(held, complete=False) == expected


def test_nothing_read_is_nothing_asked_for() -> None:
    with scratch() as held:
        held.run("index")
        assert slices(held, complete=False) == slices(held, complete=True) == []
