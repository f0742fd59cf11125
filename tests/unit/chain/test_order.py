"""Blocks in order of height, whatever order they come in."""

from hypothesis import given
from hypothesis import strategies as st

from app.chain.order import GAP_WAIT_MS, MAX_HELD, Order, arrive, tick


@given(st.permutations(range(1, 30)))
def test_any_order_of_arrival_is_processed_in_order(heights: list[int]) -> None:
    order = Order(tip=0)
    processed = [ready for height in heights for ready in arrive(order, height, now_ms=0)]
    assert processed == list(range(1, 30))
    assert order == Order(tip=29)


def test_height_0_starts_the_chain() -> None:
    order = Order()
    assert arrive(order, 1, 0) == []
    assert arrive(order, 0, 0) == [0, 1]


@given(st.permutations(range(100, 120)))
def test_a_backlog_that_starts_anywhere_begins_at_its_lowest_block(heights: list[int]) -> None:
    order = Order()
    assert [ready for height in heights for ready in arrive(order, height, now_ms=0)] == []
    assert tick(order, GAP_WAIT_MS) == list(range(100, 120))


def test_what_comes_below_the_start_is_not_lost() -> None:
    order = Order()
    assert arrive(order, 100, 0) == []
    assert tick(order, GAP_WAIT_MS) == [100]
    assert arrive(order, 98, 0) == [98]
    assert arrive(order, 101, 0) == [101]


def test_a_block_that_comes_again_is_processed_again() -> None:
    order = Order(tip=5)
    assert arrive(order, 3, 0) == [3]
    assert order.tip == 5


def test_a_gap_is_passed_after_a_while() -> None:
    order = Order(tip=5)
    assert arrive(order, 8, 1000) == []
    assert arrive(order, 7, 2000) == []
    assert tick(order, 2000 + GAP_WAIT_MS - 1) == []
    assert tick(order, 2000 + GAP_WAIT_MS) == [7, 8]
    assert order.tip == 8


def test_only_the_first_gap_is_passed() -> None:
    order = Order(tip=5)
    for height in (7, 9):
        arrive(order, height, 0)
    assert tick(order, GAP_WAIT_MS) == [7]
    assert order.held == [9]


def test_a_gap_is_passed_when_too_many_wait() -> None:
    order = Order(tip=0)
    ready = [arrive(order, height, 0) for height in range(2, MAX_HELD + 3)]
    assert ready[:-1] == [[]] * MAX_HELD
    assert ready[-1] == list(range(2, MAX_HELD + 3))


def test_a_held_block_that_comes_again_is_held_once() -> None:
    order = Order(tip=0)
    arrive(order, 5, 0)
    arrive(order, 5, 0)
    assert order.held == [5]
