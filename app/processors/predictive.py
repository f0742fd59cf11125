"""What the next block will be like: forecasts of its fee rates, and how those of this block fared."""

from collections.abc import Iterator, Sequence

import msgspec

from app.forecast.model import (
    FEERATE_P25,
    FEERATE_P50,
    FEERATE_P75,
    POINTS,
    TARGETS,
    VOLATILITY,
    Model,
    Parameters,
    Pending,
    Scores,
)
from app.model.features import BlockFeatures
from app.processors.base import Metric, Output, saturating
from app.processors.history import History
from app.processors.mempool import FEERATE_HALF

DEFAULTS = Parameters()
VOLATILITY_HALF = 0.5
"""Volatility at which a score is 0.5."""


class PredictiveProcessor:
    """Signals `predictive.*`: see docs/backtest.md.

    - `next_feerate_p25`, `_p50`, `_p75`: quantiles of the next block's median fee rate, sat/vB: it is
      forecast to lie between the first and the last in half of all cases. `next_feerate_p50` is the
      forecast of the median fee rate.
    - `next_block_p25`, `next_block_p75`: forecasts of the 25th and the 75th percentile of the fee rates
      within the next block, sat/vB.
    - `next_volatility`: forecast of the next block's volatility, `|ln((p50 + 1) / (p50 before + 1))|`.
    - `pinball_p25`, `_p50`, `_p75`: loss of the three quantiles that were forecast of this block, sat/vB.
    - `abs_error_p50`, `abs_error_block_p25`, `abs_error_block_p75`, `abs_error_volatility`.
    - `coverage_p25_p75`: running share of blocks whose median fee rate was within the forecast quartiles.
    - `skill_p50`, ...: running `1 - mean absolute error / that of "same as last block"`.

    The running ones are exponentially weighted, with a half-life of `score_half_life` blocks.
    """

    name = "predictive"

    def __init__(
        self,
        *,
        learning_rate: float = DEFAULTS.learning_rate,
        half_lives: Sequence[float] = DEFAULTS.half_lives,
        base_half_life: float = DEFAULTS.base_half_life,
        memory: float = DEFAULTS.memory,
        score_half_life: float = DEFAULTS.score_half_life,
    ) -> None:
        """Parameters as in `app.forecast.model.Parameters`. Raises ValueError."""
        lives = tuple(half_lives)
        self._model = Model(Parameters(learning_rate, lives, base_half_life, memory, score_half_life))

    def process(self, features: BlockFeatures, history: History | None) -> Output:
        """Forecasts of the next block and scores of this one's; nothing for a block out of context."""
        if history is None:
            return Output([])
        before = self._model.read(history.state(self.name))
        state, scores = self._model.follow(before, features)
        if state is None:
            return Output([])
        metrics = [*_forecasts(state.pending, features.fee_completeness)]
        if scores is not None:
            metrics += _scores(scores, features.fee_completeness)
        return Output(metrics, state=msgspec.to_builtins(state))


def _forecasts(pending: Pending, quality: float) -> Iterator[Metric]:
    about = {"for_height": pending.height}
    for target, forecast in zip(TARGETS, pending.forecasts, strict=True):
        half = VOLATILITY_HALF if target.which == VOLATILITY else FEERATE_HALF
        yield Metric(f"predictive.next_{target.name}", forecast, saturating(forecast, half), quality, about)


def _scores(scores: Scores, quality: float) -> Iterator[Metric]:
    for index in (FEERATE_P25, FEERATE_P50, FEERATE_P75):
        about = _about(scores, index)
        yield Metric(f"predictive.pinball_{_short(index)}", scores.pinballs[index], None, quality, about)
    for index in POINTS:
        error = abs(scores.forecasts[index] - scores.actuals[index])
        about = {**_about(scores, index), "last_block": scores.last_block[index]}
        yield Metric(f"predictive.abs_error_{_short(index)}", error, None, quality, about)
    yield Metric("predictive.coverage_p25_p75", scores.coverage, scores.coverage, quality)
    for index, skill in zip(POINTS, scores.skills, strict=True):
        if skill is not None:
            yield Metric(f"predictive.skill_{_short(index)}", skill, max(-1.0, min(1.0, skill)), quality)


def _about(scores: Scores, index: int) -> dict[str, float]:
    return {"forecast": scores.forecasts[index], "actual": scores.actuals[index]}


def _short(index: int) -> str:
    return TARGETS[index].name.removeprefix("feerate_")
