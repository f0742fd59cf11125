"""A chain that is told where it begins."""

from app.chain.tracker import Patience, Tracker


def name(height: int) -> str:
    return f"{height:064x}"


def arrived(tracker: Tracker, *heights: int) -> list[str]:
    """What has left the chain."""
    return [gone for h in heights for gone in tracker.arrive(h, name(h), name(h - 1), 0).retract]


def test_it_begins_there_without_waiting() -> None:
    tracker = Tracker(patience=Patience(begin=100))
    assert arrived(tracker, 101, 100, 102) == []
    assert [node.height for node in tracker.path()] == [102, 101, 100]


def test_a_height_within_a_chain_that_is_there_begins_no_other() -> None:
    tracker = Tracker(patience=Patience(begin=100))
    assert arrived(tracker, *range(100, 111)) == []
    tracker.patience = Patience(begin=112)
    assert arrived(tracker, 112, 111) == []
    assert tracker.height == 112
    assert len(list(tracker.path())) == 13
