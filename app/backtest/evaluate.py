"""Forecasts against what came: losses, skill and coverage. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import fsum
from typing import NamedTuple

from app.backtest.replay import Replayed
from app.errors import ConfigurationError
from app.forecast.inputs import has_rates
from app.forecast.model import FEERATE_P25, FEERATE_P50, FEERATE_P75, TARGETS, outcomes
from app.forecast.scores import covers, pinball, skill

MEDIAN_RATE = 2
"""Among the five percentiles."""


class Forecast(NamedTuple):
    """What was forecast of a block when the one before had come, and what came."""

    height: int
    forecasts: list[float | None]
    """By target of `app.forecast.model`; None for one that the processor does not make."""
    actuals: list[float]
    last_block: list[float]
    """What "same as last block" said."""


@dataclass(frozen=True, slots=True)
class Score:
    """Of one target over all scored blocks; sat/vB, or volatility."""

    name: str
    n: int
    mae: float
    mae_last_block: float
    pinball: float
    pinball_last_block: float

    @property
    def skill(self) -> float | None:
        """By the loss that a forecast of its kind minimises: absolute error for a median, pinball loss for
        another quantile. None where "same as last block" was never wrong."""
        return skill(self.pinball, self.pinball_last_block)


@dataclass(frozen=True, slots=True)
class Report:
    """Of a backtest."""

    scores: list[Score]
    coverage_p25_p75: float | None
    """Share of blocks whose median fee rate was within the forecast quartiles; None without them."""
    forecasts: list[Forecast]
    """The scored ones, in order of height."""

    @property
    def median_rate(self) -> Score:
        """Score of the forecast of the next block's median fee rate."""
        return next(score for score in self.scores if score.name == TARGETS[FEERATE_P50].name)

    def summary(self) -> dict[str, float | int | None]:
        """What `--json` prints; `mae` in sat/vB."""
        score = self.median_rate
        return {
            "n": score.n,
            "mae": score.mae,
            "mae_last_block": score.mae_last_block,
            "skill": skill(score.mae, score.mae_last_block),
            "coverage_p25_p75": self.coverage_p25_p75,
        }


def evaluate(processor: str, replayed: Iterable[Replayed], *, warm_up: int) -> Report:
    """Scores of the signals `<processor>.next_<target>`, the first `warm_up` blocks not scored.

    A block is scored where the one at the height before is there too, and both have fee rates. Raises
    ConfigurationError where the processor forecasts no fee rate, or too few blocks are there.
    """
    blocks = 0
    forecasts: list[Forecast] = []
    previous: list[Replayed] = []
    for block in replayed:
        found = _forecast(processor, previous, block)
        if found is not None and blocks >= warm_up:
            forecasts.append(found)
        blocks += 1
        previous = [*previous[-1:], block]
    if not forecasts:
        raise ConfigurationError(
            f"nothing to score: {blocks} blocks are there and the first {warm_up} warm up; give at least "
            f"{max(2, warm_up + 1)} with heights that follow each other, or a smaller --warm-up"
        )
    return _report(processor, forecasts)


def _forecast(processor: str, previous: Sequence[Replayed], block: Replayed) -> Forecast | None:
    if not previous or previous[-1].features.height != block.features.height - 1:
        return None
    last = previous[-1]
    if not has_rates(last.features) or not has_rates(block.features):
        return None
    before = previous[0].features
    start = before if has_rates(before) else last.features
    return Forecast(
        block.features.height,
        [last.values.get(f"{processor}.next_{target.name}") for target in TARGETS],
        outcomes(block.features, last.features.feerate_percentiles[MEDIAN_RATE]),
        outcomes(last.features, start.feerate_percentiles[MEDIAN_RATE]),
    )


def _report(processor: str, forecasts: list[Forecast]) -> Report:
    scores = [score for index in range(len(TARGETS)) if (score := _score(index, forecasts)) is not None]
    if all(score.name != TARGETS[FEERATE_P50].name for score in scores):
        raise ConfigurationError(
            f"processor {processor!r} forecasts no fee rate: it has no signal "
            f"`{processor}.next_{TARGETS[FEERATE_P50].name}`; name another --processor"
        )
    return Report(scores, _coverage(forecasts), forecasts)


def _score(index: int, forecasts: Sequence[Forecast]) -> Score | None:
    target = TARGETS[index]
    triples = [
        (made, forecast.actuals[index], forecast.last_block[index])
        for forecast in forecasts
        if (made := forecast.forecasts[index]) is not None
    ]
    if not triples:
        return None
    return Score(
        target.name,
        len(triples),
        mean([abs(made - actual) for made, actual, _ in triples]),
        mean([abs(last - actual) for _, actual, last in triples]),
        mean([pinball(made, actual, target.share) for made, actual, _ in triples]),
        mean([pinball(last, actual, target.share) for _, actual, last in triples]),
    )


def _coverage(forecasts: Sequence[Forecast]) -> float | None:
    hits = [
        covers(low, high, forecast.actuals[FEERATE_P50])
        for forecast in forecasts
        if (low := forecast.forecasts[FEERATE_P25]) is not None
        and (high := forecast.forecasts[FEERATE_P75]) is not None
    ]
    return mean(hits) if hits else None


def mean(numbers: Sequence[float]) -> float:
    """Arithmetic mean, rounded once."""
    return fsum(numbers) / len(numbers)
