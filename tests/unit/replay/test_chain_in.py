"""Which of the blocks on the topic are the chain."""

from app.replay.blocks import Blocks, Found, chain_in
from app.replay.live import LiveChain


def found(name: str, height: int, parent: str | None, *, at: int = 0, isolated: bool = False) -> Found:
    return Found("BTC", height, name, parent, f"ts {name}", isolated, at, at, "c", True)


def blocks(*all_of_them: Found) -> Blocks:
    made = Blocks()
    for each in all_of_them:
        made.add(each)
    return made


def names(held: Blocks, live: LiveChain | None = None) -> list[str]:
    return [block.hash for block in chain_in(held, live or LiveChain())]


FORK = (found("a", 1, None), found("b", 2, "a", at=1), found("x", 2, "a", at=2), found("y", 3, "x", at=3))


def test_without_a_worker_s_word_the_longest_branch_counts() -> None:
    assert names(blocks(*FORK)) == ["a", "x", "y"]
    assert names(blocks(*FORK[:3])) == ["a", "b"]
    assert names(blocks(*FORK[:3], found("stray", 5000, "?"))) == ["a", "b"]


def test_the_worker_s_word_counts_and_what_it_has_not_computed_is_left_to_it() -> None:
    live = LiveChain({1: "a", 2: "b"})
    assert names(blocks(*FORK), live) == ["a", "b"]
    assert live.has_left(2, "x")
    assert not live.has_left(2, "b")
    assert not live.has_left(3, "y")


def test_below_the_worker_s_reach_the_longest_branch_counts() -> None:
    live = LiveChain({2000: "t", 1999: "s"})
    high = (found("s", 1999, "r"), found("t", 2000, "s"), found("late", 1500, None))
    assert names(blocks(*FORK, *high), live) == ["a", "x", "y", "s", "t"]


def test_isolated_blocks_are_none_of_it() -> None:
    assert names(blocks(found("a", 1, None), found("b", 2, "a", isolated=True))) == ["a"]


def test_of_several_records_the_first_counts_unless_a_later_one_was_asked_for() -> None:
    first, again = found("a", 1, None, at=1), found("a", 1, None, at=2)
    held = blocks(first, again)
    assert held.by_hash["a"].offset == 1
