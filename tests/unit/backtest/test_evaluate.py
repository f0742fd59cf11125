"""Forecasts against what came: figures by hand, and what is not scored."""

from collections.abc import Sequence
from math import log

import msgspec
import pytest

from app.backtest.evaluate import Report, evaluate
from app.backtest.replay import Memory, Replayed, replay
from app.errors import ConfigurationError, Terminal
from app.model.features import BlockFeatures
from app.processors.base import Metric, Output
from app.processors.history import MOST, History, Past, kept
from app.processors.predictive import PredictiveProcessor
from app.processors.run import Enabled
from tests.support.fee_market import block, market, scaled


def replayed(*medians: float, low: float = 2.0, middle: float = 3.0, high: float = 4.0) -> list[Replayed]:
    """Blocks of these medians, each with the same forecasts of the next."""
    values = {
        "mine.next_feerate_p25": low,
        "mine.next_feerate_p50": middle,
        "mine.next_feerate_p75": high,
        "mine.next_volatility": 0.0,
    }
    return [Replayed(block(n, [1.0, 1.5, median, 8.0, 9.0]), values) for n, median in enumerate(medians)]


def test_scores_by_hand() -> None:
    report = evaluate("mine", replayed(9.0, 1.0, 3.0, 7.0), warm_up=1)
    assert report.summary() == {
        "n": 3,
        "mae": pytest.approx((2 + 0 + 4) / 3),
        "mae_last_block": pytest.approx((8 + 2 + 4) / 3),
        "skill": pytest.approx(1 - 6 / 14),
        "coverage_p25_p75": pytest.approx(1 / 3),
    }
    by_name = {score.name: score for score in report.scores}
    assert set(by_name) == {"feerate_p25", "feerate_p50", "feerate_p75", "volatility"}
    # 1 is 1 below 2; 3 and 7 are 1 and 5 above.
    assert by_name["feerate_p25"].pinball == pytest.approx((0.75 + 0.25 + 1.25) / 3)
    # 9 -> 1 is 8 below; 1 -> 3 and 3 -> 7 are 2 and 4 above.
    assert by_name["feerate_p25"].pinball_last_block == pytest.approx((6 + 0.5 + 1.0) / 3)
    # |ln(2 / 10)|, |ln(4 / 2)|, |ln(8 / 4)|, forecast as 0.
    assert by_name["volatility"].mae == pytest.approx((log(5) + log(2) + log(2)) / 3)
    assert by_name["volatility"].mae_last_block == pytest.approx((log(5) + log(5 / 2) + 0) / 3)


def test_blocks_that_warm_up_are_not_scored() -> None:
    report = evaluate("mine", replayed(9.0, 1.0, 3.0, 7.0), warm_up=3)
    assert [forecast.height for forecast in report.forecasts] == [3]
    assert report.summary()["mae"] == 4.0


def test_the_block_after_a_gap_and_blocks_without_fees_are_not_scored() -> None:
    blocks = replayed(1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    blocks[1] = blocks[1]._replace(features=block(1, []))
    del blocks[4]
    assert [f.height for f in evaluate("mine", blocks, warm_up=1).forecasts] == [3]


def test_a_market_that_stands_still_has_no_skill() -> None:
    assert evaluate("mine", replayed(3.0, 3.0, 3.0), warm_up=1).summary() == {
        "n": 2,
        "mae": 0.0,
        "mae_last_block": 0.0,
        "skill": None,
        "coverage_p25_p75": 1.0,
    }


@pytest.mark.parametrize("count", [0, 1, 5])
def test_too_few_blocks(count: int) -> None:
    with pytest.raises(ConfigurationError, match=f"{count} blocks are there and the first 5 warm up"):
        evaluate("mine", replayed(*[1.0] * count), warm_up=5)


def test_a_processor_that_forecasts_nothing() -> None:
    with pytest.raises(ConfigurationError, match="'other' forecasts no fee rate"):
        evaluate("other", replayed(1.0, 2.0), warm_up=1)


def predicted(blocks: Sequence[BlockFeatures], warm_up: int = 20) -> Report:
    return evaluate("predictive", replay(Enabled(PredictiveProcessor(), 60.0), blocks), warm_up=warm_up)


def test_the_report_says_what_the_signals_say() -> None:
    blocks = market(80)
    signals = list(replay(Enabled(PredictiveProcessor(), 60.0), blocks))
    report = predicted(blocks)
    errors = [block.values["predictive.abs_error_p50"] for block in signals[20:]]
    assert report.summary()["mae"] == pytest.approx(sum(errors) / 60)
    losses = [block.values["predictive.pinball_p75"] for block in signals[20:]]
    assert report.scores[2].pinball == pytest.approx(sum(losses) / 60)


def test_two_runs_are_equal_and_later_blocks_change_no_earlier_forecast() -> None:
    blocks = market(150)
    first, second = predicted(blocks), predicted(market(150))
    assert msgspec.json.encode(first.summary()) == msgspec.json.encode(second.summary())
    assert first.forecasts == second.forecasts
    other = predicted(blocks[:100] + scaled(blocks[100:], 13.0))
    assert [f.forecasts for f in other.forecasts[:81]] == [f.forecasts for f in first.forecasts[:81]]
    assert other.forecasts[81:] != first.forecasts[81:]


class Counts:
    """Adds up blocks."""

    name = "counts"

    def __init__(self, *, fail_at: int = -1) -> None:
        self._fail_at = fail_at

    def process(self, features: BlockFeatures, history: History | None) -> Output:
        assert history is not None
        if features.height == self._fail_at:
            raise ZeroDivisionError
        sums, blocks = history.sums(10)
        metrics = [Metric("counts.sum", sums.get("one", 0)), Metric("counts.blocks", blocks)]
        metrics.append(Metric("counts.missing", history.missing(10)))
        metrics.append(Metric("counts.seen", len(history)))
        return Output(metrics, amounts={"one": 1})


def counted(heights: Sequence[int]) -> list[list[float]]:
    blocks = [block(height, [1.0] * 5) for height in heights]
    return [list(found.values.values()) for found in replay(Enabled(Counts(), 60.0), blocks)]


def test_processors_see_the_history_that_agents_show_them() -> None:
    assert counted([5, 6, 7]) == [[0, 0, 0, 0], [1, 1, 0, 1], [2, 2, 0, 2]]
    assert counted([5, 6, 10])[-1] == [2, 2, 3, 2]
    assert counted([5, 10, 11])[-1] == [2, 2, 4, 2]
    assert counted(range(2500))[-1] == [10, 10, 0, MOST]


def test_of_old_blocks_only_sums_are_kept() -> None:
    memory = Memory()
    for height in range(3 * MOST):
        memory.add(Past(height=height, hash="", states={"x": kept(height)}, totals={"one": height + 1}))
    history = memory.before(3 * MOST)
    assert history.pasts[0].height == 2 * MOST
    assert history.state("x") == 3 * MOST - 1
    assert history.sums(2 * MOST + 8)[0] == {"one": 2 * MOST + 8}


def test_a_processor_that_fails_ends_the_backtest() -> None:
    blocks = [block(height, [1.0] * 5) for height in range(5)]
    with pytest.raises(Terminal, match="'counts' failed at height 3: ZeroDivisionError"):
        list(replay(Enabled(Counts(fail_at=3), 60.0), blocks))
