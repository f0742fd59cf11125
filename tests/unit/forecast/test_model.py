"""The fold over blocks: no look-ahead, states that can be continued, and markets of all kinds."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from math import inf, isfinite, nan
from statistics import fmean

import msgspec
import pytest

from app.forecast.inputs import look
from app.forecast.model import FEERATE_P25, FEERATE_P50, FEERATE_P75, TARGETS, Model, Parameters, State
from app.model.features import BlockFeatures
from tests.support.fee_market import block, market, scaled

MODEL = Model(Parameters())


def run(blocks: Sequence[BlockFeatures], state: State | None = None) -> list[State]:
    """The state after each block."""
    states = []
    for features in blocks:
        state = MODEL.follow(state, features).state
        assert state is not None
        states.append(state)
    return states


def forecasts(states: Sequence[State], target: int = FEERATE_P50) -> list[float]:
    return [state.pending.forecasts[target] for state in states]


def skill(blocks: Sequence[BlockFeatures], skip: int = 200) -> float:
    made = forecasts(run(blocks))
    actual = [features.feerate_percentiles[2] for features in blocks]
    errors = [abs(f - a) for f, a in zip(made[skip:-1], actual[skip + 1 :], strict=True)]
    naive = [abs(b - a) for b, a in zip(actual[skip:-1], actual[skip + 1 :], strict=True)]
    return 1 - fmean(errors) / fmean(naive)


@pytest.mark.parametrize("at", [1, 2, 17, 150])
def test_what_comes_later_changes_no_earlier_forecast(at: int) -> None:
    blocks = market(200)
    others = blocks[:at] + scaled(market(200, seed=9), 7.0)[at:]
    ours, theirs = run(blocks), run(others)
    assert ours[:at] == theirs[:at]
    assert ours[at] != theirs[at]


def test_a_block_is_scored_by_the_forecast_made_before_it() -> None:
    blocks = market(60)
    before = run(blocks[:-1])[-1]
    scores = MODEL.follow(before, blocks[-1]).scores
    assert scores is not None
    assert scores.forecasts == before.pending.forecasts
    rates = blocks[-1].feerate_percentiles
    assert scores.actuals[:5] == [rates[2], rates[2], rates[2], rates[1], rates[3]]
    last = blocks[-2].feerate_percentiles
    assert scores.last_block[:5] == [last[2], last[2], last[2], last[1], last[3]]


@pytest.mark.parametrize("at", range(0, 120, 7))
def test_a_state_is_continued_from_its_json(at: int) -> None:
    blocks = market(120)
    text = msgspec.json.encode(msgspec.to_builtins(run(blocks[: at + 1])[-1]))
    restored = MODEL.read(msgspec.json.decode(text))
    assert run(blocks[at + 1 :], restored) == run(blocks)[at + 1 :]


def test_a_state_stays_small() -> None:
    sizes = [len(msgspec.json.encode(state)) for state in run(market(300))]
    assert max(sizes) < 8000
    assert max(sizes[100:]) < 1.2 * sizes[100]


def test_states_of_something_else_are_not_continued() -> None:
    state = msgspec.to_builtins(run(market(5))[-1])
    other = Model(replace(Parameters(), half_lives=(2.0, 24.0, 144.0)))
    assert MODEL.read(state) is not None
    assert other.read(state) is None
    wrongs: list[object] = [None, 1, [], {}, {"layout": "x"}, state | {"weights": "x"}]
    for wrong in wrongs:
        assert MODEL.read(wrong) is None


def test_it_is_better_than_the_last_block_and_its_quartiles_are_calibrated() -> None:
    blocks = market(3000)
    states = run(blocks)
    assert skill(blocks) > 0.2
    hits = [
        state.pending.forecasts[FEERATE_P25]
        <= after.feerate_percentiles[2]
        <= state.pending.forecasts[FEERATE_P75]
        for state, after in zip(states[200:-1], blocks[201:], strict=True)
    ]
    assert fmean(hits) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("by", [0.2, 30.0, 1000.0])
def test_fee_rates_of_any_size_are_forecast_as_well(by: float) -> None:
    blocks = market(1500)
    assert skill(scaled(blocks, by)) == pytest.approx(skill(blocks), abs=0.04)


def test_in_a_market_that_stands_still_the_forecast_does_too() -> None:
    states = run([block(height, [5.0] * 5) for height in range(400)])
    for target in TARGETS[:-1]:
        assert forecasts(states[100:], TARGETS.index(target)) == pytest.approx([5.0] * 300, rel=0.1)
    assert forecasts(states[100:], len(TARGETS) - 1) == pytest.approx([0.0] * 300, abs=0.05)
    nothing = MODEL.follow(states[-1], block(400, [5.0] * 5)).scores
    assert nothing is not None
    assert nothing.skills == [None] * 4


@pytest.mark.parametrize("spike", [1e3, 1e6, 1e15])
def test_a_spike_is_forgotten(spike: float) -> None:
    blocks = market(1200)
    blocks[600] = block(blocks[600].height, [spike] * 5)
    made = forecasts(run(blocks))
    usual = forecasts(run(market(1200)))
    later = [abs(m - u) for m, u in zip(made[650:], usual[650:], strict=True)]
    assert fmean(later) < 0.25 * fmean(usual[650:])


def test_it_follows_to_another_level() -> None:
    blocks = market(600) + scaled(market(600, seed=2, first=900_600), 100.0)
    made = forecasts(run(blocks))
    actual = [features.feerate_percentiles[2] for features in blocks]
    assert fmean(made[800:-1]) == pytest.approx(fmean(actual[801:]), rel=0.25)


def test_quantiles_do_not_cross_and_nothing_is_negative() -> None:
    for state in run(market(400, level=0.05)):
        low, middle, high, *_ = made = state.pending.forecasts
        assert 0.0 <= low <= middle <= high
        assert min(made) >= 0.0


@pytest.mark.parametrize(
    "rates", [[], [1.0], [nan] * 5, [1.0, 2.0, inf, 4.0, 5.0], [1e300] * 5, [-1.0, 1.0, 1.0, 1.0, 1.0]]
)
def test_a_block_without_fee_rates_teaches_nothing(rates: list[float]) -> None:
    blocks = market(30)
    state = run(blocks)[-1]
    after, scores = MODEL.follow(state, block(blocks[-1].height + 1, rates))
    assert scores is None
    assert after is not None
    assert after.pending.height == blocks[-1].height + 2
    assert after.pending.forecasts == state.pending.forecasts
    assert msgspec.structs.replace(after, pending=state.pending) == state
    assert MODEL.follow(None, block(1, rates)) == (None, None)


def test_after_a_gap_nothing_is_scored() -> None:
    blocks = market(30)
    state = run(blocks[:20])[-1]
    after, scores = MODEL.follow(state, blocks[21])
    assert scores is None
    assert after is not None
    assert (after.scored, after.weights) == (state.scored, state.weights)
    assert MODEL.follow(after, blocks[22]).scores is not None


def test_numbers_stay_finite_whatever_comes() -> None:
    odd = [2.1e15, 0.0, 1e-300, 1.7e308, 5.0, 2.1e15, 0.0]
    blocks = [block(n, [odd[n % len(odd)]] * 5, seconds=(-1) ** n * 10**6, txs=n * 10**9) for n in range(200)]
    state = None
    for features in blocks:
        state = MODEL.follow(state, features).state
        if state is not None:
            assert all(map(isfinite, state.pending.forecasts))
            # msgspec writes what is not finite as null.
            assert b"null" not in msgspec.json.encode(state)


def test_means_are_added_up_to_the_last_bit() -> None:
    """Python 3.11 and 3.12 round a `sum` of floats differently; forecasts of both must be the same."""
    rates = permutations((0.1, 0.2, 0.3))
    assert {look(None, block(1, [0.0, *order, 1.0]), [3.0])[1].scale for order in rates} == {0.5}


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0.0},
        {"learning_rate": nan},
        {"learning_rate": "fast"},
        {"memory": inf},
        {"base_half_life": -1.0},
        {"score_half_life": True},
        {"half_lives": ()},
        {"half_lives": (12.0, 2.0)},
        {"half_lives": (2.0, 2.0)},
        {"half_lives": (0.0, 2.0)},
    ],
)
def test_parameters_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Parameters(**wrong)  # type: ignore[arg-type]
