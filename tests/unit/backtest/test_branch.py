"""Which blocks of many are one branch."""

import msgspec

from app.backtest.blocks import Heights, branch_of
from tests.support.fee_market import block


def hashes(*blocks: tuple[str, int, str | None]) -> list[str]:
    """Of the branch through blocks of (hash, height, parent)."""
    made = [
        msgspec.structs.replace(block(height, [1.0] * 5), hash=name, previousblockhash=parent)
        for name, height, parent in blocks
    ]
    return [found.hash for found in branch_of(made)]


def test_blocks_in_any_order_and_more_than_once() -> None:
    assert hashes(("c", 3, "b"), ("a", 1, None), ("b", 2, "a"), ("a", 1, None)) == ["a", "b", "c"]
    assert hashes() == []


def test_the_longest_branch_wins_and_of_equals_the_first() -> None:
    fork = (("a", 1, None), ("b", 2, "a"), ("x", 2, "a"))
    assert hashes(*fork, ("y", 3, "x")) == ["a", "x", "y"]
    assert hashes(*fork) == ["a", "b"]


def test_across_a_gap() -> None:
    assert hashes(("a", 1, None), ("b", 2, "a"), ("e", 5, "d"), ("f", 6, "e")) == ["a", "b", "e", "f"]


def test_a_range_of_heights() -> None:
    assert [n in Heights(2, 3) for n in (1, 2, 3, 4)] == [False, True, True, False]
    assert all(n in Heights() for n in (0, 10**6))
    assert [n in Heights(last=3) for n in (0, 3, 4)] == [True, True, False]
