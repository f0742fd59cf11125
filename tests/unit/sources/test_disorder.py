"""The order of a disturbed delivery: what is late, what is withheld, what comes twice."""

from random import Random

import pytest

from app.sources.simulated.disorder import HORIZON, NEAR, disordered

LENGTH = 2000
LATE = [0, 300, 301, 900, 1200]
GAP = [500, 501, 502]


@pytest.mark.parametrize("seed", range(20))
def test_late_positions_come_after_all_that_were_before_them(seed: int) -> None:
    place = placed(disordered(Random(seed), LENGTH, [], LATE, []))
    for late in LATE:
        usual = [place[at] for at in range(late) if at not in LATE]
        assert place[late] > max(usual, default=0)
        assert place[late] <= late + HORIZON / 2 + len(LATE)


@pytest.mark.parametrize("seed", range(20))
def test_a_gap_stays_open_for_long_and_is_filled_in_order(seed: int) -> None:
    order = disordered(Random(seed), LENGTH, [GAP], [], [])
    place = placed(order)
    at_least = GAP[0] + HORIZON // 2 - NEAR
    assert all(place[at] < place[GAP[0]] for at in range(GAP[-1] + 1, at_least))
    assert [at for at in order if at in GAP] == GAP
    assert place[GAP[-1]] <= GAP[0] + HORIZON


@pytest.mark.parametrize("seed", range(20))
def test_others_come_nearly_in_order_and_all_of_them(seed: int) -> None:
    order = disordered(Random(seed), LENGTH, [GAP], LATE, [7, 7, 1999])
    assert sorted(order) == sorted([*range(LENGTH), 7, 7, 1999])
    calm = disordered(Random(seed), LENGTH, [], [], [])
    assert 10 < max(abs(at - index) for index, at in enumerate(calm)) <= NEAR


def placed(order: list[int]) -> dict[int, int]:
    """Position -> where it comes in `order`."""
    return {at: index for index, at in enumerate(order)}
