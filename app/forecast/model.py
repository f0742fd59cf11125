"""The forecasts of the next block, and how they fared: a fold over blocks. Pure.

Forecasts are made when a block has come, from it and the blocks before it; when the next one comes they are
first scored against it and only then does the model learn from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, NamedTuple

import msgspec

from app.forecast import inputs as look_at
from app.forecast.averages import weight_of
from app.forecast.inputs import MEDIAN, Inputs, Seen
from app.forecast.learner import SMALLEST_SQUARE, learnt, next_squares, predict, steps
from app.forecast.scores import Means, covers, pinball, running, skill, volatility
from app.model.features import BlockFeatures

LAYOUT = 1
"""Of states; another one starts anew."""


class Target(NamedTuple):
    """Something that is forecast: the quantile `share` of what the next block will show."""

    name: str
    which: int
    """Of the measured percentiles 25, 50, 75; `VOLATILITY` for the volatility."""
    share: float


VOLATILITY = 3
FEERATE_P25, FEERATE_P50, FEERATE_P75 = range(3)
TARGETS = (
    Target("feerate_p25", MEDIAN, 0.25),
    Target("feerate_p50", MEDIAN, 0.5),
    Target("feerate_p75", MEDIAN, 0.75),
    Target("block_p25", 0, 0.5),
    Target("block_p75", 2, 0.5),
    Target("volatility", VOLATILITY, 0.5),
)
"""Quantiles of the next block's median fee rate; medians of its own 25th and 75th percentile; median of its
volatility."""
POINTS = tuple(index for index, target in enumerate(TARGETS) if target.share == 0.5)
"""Forecasts of medians: they have an absolute error, and a skill."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Of the model; raises ValueError for what can't be."""

    learning_rate: float = 0.03
    half_lives: tuple[float, ...] = (2.0, 12.0, 144.0)
    """Blocks: of the means that are inputs, ascending; the last is that of the scale as well."""
    base_half_life: float = 3.0
    """Blocks: of the mean that forecasts are corrections of."""
    memory: float = 1400.0
    """Blocks after which the step sizes have forgotten half."""
    score_half_life: float = 144.0
    """Blocks: of running scores."""

    def __post_init__(self) -> None:
        for name in ("learning_rate", "base_half_life", "memory", "score_half_life"):
            _check_positive(name, getattr(self, name))
        for half_life in self.half_lives:
            _check_positive("half_lives", half_life)
        if not 1 <= len(self.half_lives) <= 6 or list(self.half_lives) != sorted(set(self.half_lives)):
            raise ValueError(f"half_lives is {self.half_lives}: give 1 to 6 numbers of blocks, ascending")

    @property
    def layout(self) -> str:
        """States of one layout can be continued."""
        return f"{LAYOUT}/{self.base_half_life:g}/{','.join(f'{h:g}' for h in self.half_lives)}"


class Pending(msgspec.Struct, frozen=True):
    """Forecasts that wait for their block."""

    height: int
    """Of the block that they are of."""
    forecasts: list[float]
    """By target: sat/vB, or volatility."""
    raw: list[float]
    """The same, before the quantiles were put in order: what each regression answers for. Taught by a
    neighbour's forecast, two that have crossed would drift apart for good."""
    inputs: Inputs


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that the model knows after a block."""

    layout: str
    seen: Seen
    weights: list[list[float]]
    """By target."""
    squares: list[float]
    pending: Pending
    scored: int = 0
    """Blocks whose forecasts were scored."""
    means: Means = []
    """Running: coverage, errors by point forecast, then those of "same as last block"."""


class Scores(NamedTuple):
    """How the forecasts of a block fared; lists by target."""

    forecasts: list[float]
    actuals: list[float]
    last_block: list[float]
    """What "same as last block" said."""
    pinballs: list[float]
    coverage: float
    """Running share of blocks whose median fee rate was within the forecast quantiles 25 % and 75 %."""
    skills: list[float | None]
    """Running, by point forecast."""


class Step(NamedTuple):
    """What came of a block; `scores` is None where no forecast waited for it."""

    state: State | None
    scores: Scores | None


class Model:
    """The fold: `follow` for each block of a branch in order."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._half_lives = (parameters.base_half_life, *parameters.half_lives)
        self._keep = 1.0 - weight_of(parameters.memory)
        self._score_weight = weight_of(parameters.score_half_life)

    def read(self, document: Any) -> State | None:
        """A state from its JSON value; None where there is none, or one of another layout."""
        try:
            state = msgspec.convert(document, State)
        except msgspec.ValidationError:
            return None
        return state if state.layout == self._parameters.layout else None

    def follow(self, state: State | None, features: BlockFeatures) -> Step:
        """The state after the block, with forecasts of the next one, and the scores of those of this one.

        A block without fee rates changes nothing, but that the forecasts are now of the next one.
        """
        if not look_at.has_rates(features):
            return Step(_wait(state, features.height + 1), None)
        if state is None or state.pending.height != features.height:
            after = self._look(state, features)
            return Step(after if _finite(after) else _wait(state, features.height + 1), None)
        actuals = outcomes(features, state.seen.rates[MEDIAN])
        scores, means = self._score(state, actuals)
        weights, squares = self._learn(state, actuals)
        taught = msgspec.structs.replace(
            state, weights=weights, squares=squares, scored=state.scored + 1, means=means
        )
        after = self._look(taught, features)
        return Step(after if _finite(after) else _wait(state, features.height + 1), scores)

    def _look(self, state: State | None, features: BlockFeatures) -> State:
        """With the block seen, and forecasts of the next one."""
        seen, inputs = look_at.look(state.seen if state else None, features, self._half_lives)
        if state is None:
            weights = [[0.0] * len(inputs.values) for _ in TARGETS]
            squares = [SMALLEST_SQUARE] * len(inputs.values)
            pending = _pending(features.height + 1, weights, inputs)
            return State(self._parameters.layout, seen, weights, squares, pending)
        pending = _pending(features.height + 1, state.weights, inputs)
        return msgspec.structs.replace(state, seen=seen, pending=pending)

    def _score(self, state: State, actuals: list[float]) -> tuple[Scores, Means]:
        forecasts, last = state.pending.forecasts, _same(state.seen)
        losses = [
            covers(forecasts[FEERATE_P25], forecasts[FEERATE_P75], actuals[FEERATE_P50]),
            *(abs(forecasts[point] - actuals[point]) for point in POINTS),
            *(abs(last[point] - actuals[point]) for point in POINTS),
        ]
        means = running(state.means, losses, state.scored, self._score_weight)
        errors, errors_last = means[1 : 1 + len(POINTS)], means[1 + len(POINTS) :]
        pinballs = [
            pinball(forecast, actual, target.share)
            for forecast, actual, target in zip(forecasts, actuals, TARGETS, strict=True)
        ]
        skills = list(map(skill, errors, errors_last))
        return Scores(forecasts, actuals, last, pinballs, means[0], skills), means

    def _learn(self, state: State, actuals: Sequence[float]) -> tuple[list[list[float]], list[float]]:
        pending = state.pending
        stretch = pending.inputs.stretch(pending.forecasts[FEERATE_P50])
        slopes = [stretch * value for value in pending.inputs.values]
        squares = next_squares(state.squares, slopes, self._keep)
        step = steps(squares, slopes, self._parameters.learning_rate)
        learners = zip(state.weights, pending.raw, actuals, TARGETS, strict=True)
        return [
            learnt(weights, step, forecast=raw, actual=actual, share=target.share)
            for weights, raw, actual, target in learners
        ], squares


def outcomes(features: BlockFeatures, median_before: float) -> list[float]:
    """What a block with fee rates shows of each target: sat/vB, or volatility.

    `median_before` is the median fee rate of the block before, sat/vB.
    """
    rates = [features.feerate_percentiles[which] for which in look_at.MEASURED]
    shown = [*rates, volatility(rates[MEDIAN], median_before)]
    return [shown[target.which] for target in TARGETS]


def _same(seen: Seen) -> list[float]:
    """What "same as last block" says of each target."""
    shown = [*seen.rates, seen.change]
    return [shown[target.which] for target in TARGETS]


def _pending(height: int, weights: Sequence[Sequence[float]], inputs: Inputs) -> Pending:
    raw = _forecast(weights, inputs)
    return Pending(height, _in_order(raw), raw, inputs)


def _forecast(weights: Sequence[Sequence[float]], inputs: Inputs) -> list[float]:
    return [
        inputs.volatility(predict(own, inputs.values))
        if target.which == VOLATILITY
        else inputs.feerate(target.which, predict(own, inputs.values))
        for own, target in zip(weights, TARGETS, strict=True)
    ]


def _in_order(raw: Sequence[float]) -> list[float]:
    """Regressions that are learnt apart may cross; sorted they are quantiles again (Chernozhukov,
    Fernández-Val and Galichon, 2010)."""
    return [*sorted(raw[: FEERATE_P75 + 1]), *raw[FEERATE_P75 + 1 :]]


def _wait(state: State | None, height: int) -> State | None:
    if state is None:
        return None
    return msgspec.structs.replace(state, pending=msgspec.structs.replace(state.pending, height=height))


def _finite(state: State) -> bool:
    inputs = state.pending.inputs
    numbers = [*state.squares, *state.pending.raw, *state.means, *inputs.values, *inputs.bases, inputs.scale]
    for row in (*state.weights, *state.seen.means):
        numbers += row
    return all(map(isfinite, numbers))


def _check_positive(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < float("inf"):
        raise ValueError(f"{name} is {value!r}: give a positive number")
