"""Pictures of a backtest: a PNG file, and characters for the terminal."""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from app.backtest.evaluate import Forecast, Report
from app.backtest.extras import need
from app.errors import ConfigurationError
from app.forecast.model import FEERATE_P25, FEERATE_P50, FEERATE_P75
from app.forecast.scores import skill

SHOWN = 288
"""Blocks (two days) of the chart of forecasts: more can't be told apart."""
SHOWN_IN_TERMINAL = 144
SKILL_OVER = 1008
"""Blocks (a week) that the chart of skill looks back."""
WIDTH, HEIGHT = 100, 18
"""Characters."""


def check_picture(path: Path) -> None:
    """Raise ConfigurationError where `save_picture` could not write: better before a long computation."""
    need("matplotlib")
    if path.suffix.lower() != ".png" or not path.absolute().parent.is_dir():
        raise ConfigurationError(f"--plot is {path}: name a .png file in a folder that is there")


def save_picture(report: Report, path: Path) -> None:
    """Forecasts of the last blocks with their quartiles, and the skill over time, as PNG.

    Raises ConfigurationError where the file can't be written.
    """
    figure = need("matplotlib.figure").Figure(figsize=(11, 7), dpi=120, layout="constrained")
    need("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1)
    _draw_forecasts(above, report.forecasts[-SHOWN:])
    _draw_skill(below, report.forecasts)
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written: {error.strerror or error}") from error


def _draw_forecasts(axes: Any, shown: Sequence[Forecast]) -> None:
    heights = [forecast.height for forecast in shown]
    low, middle, high = (_column(shown, index) for index in (FEERATE_P25, FEERATE_P50, FEERATE_P75))
    axes.fill_between(heights, low, high, alpha=0.3, linewidth=0, label="forecast p25 to p75")
    axes.plot(heights, middle, linewidth=1.5, label="forecast p50")
    axes.step(heights, _actual(shown), where="mid", color="black", linewidth=0.8, label="median fee rate")
    axes.set(title=f"The last {len(shown)} blocks", ylabel="sat/vB", ylim=(0, None))
    axes.ticklabel_format(useOffset=False, style="plain")
    axes.legend(loc="upper left")


def _draw_skill(axes: Any, forecasts: Sequence[Forecast]) -> None:
    axes.plot([forecast.height for forecast in forecasts], rolling_skill(forecasts), linewidth=1.2)
    axes.axhline(0.0, color="black", linewidth=0.8)
    axes.set(
        title=f'Skill of the p50 forecast against "same as last block", over {SKILL_OVER:,} blocks',
        xlabel="height",
        ylabel="skill",
    )
    axes.ticklabel_format(useOffset=False, style="plain")


def rolling_skill(forecasts: Sequence[Forecast], over: int = SKILL_OVER) -> list[float]:
    """Skill of the median fee rate's forecast over the last `over` blocks at each block; NaN where there is
    none."""
    middle = _column(forecasts, FEERATE_P50)
    actual = _actual(forecasts)
    last = [forecast.last_block[FEERATE_P50] for forecast in forecasts]
    errors = _moving_sum([abs(m - a) for m, a in zip(middle, actual, strict=True)], over)
    errors_last = _moving_sum([abs(p - a) for p, a in zip(last, actual, strict=True)], over)
    found = map(skill, errors, errors_last)
    return [float("nan") if value is None else value for value in found]


def in_characters(report: Report, *, colors: bool) -> str:
    """Forecast and median fee rate of the last blocks, for a terminal."""
    figure = need("plotext").figure
    shown = report.forecasts[-SHOWN_IN_TERMINAL:]
    heights = [forecast.height for forecast in shown]
    figure.clear()
    figure.plot_size(WIDTH, HEIGHT)
    for label, values in (
        ("median fee rate, sat/vB", _actual(shown)),
        ("forecast", _column(shown, FEERATE_P50)),
    ):
        signal = figure.signal(heights, values, marker="braille")
        signal.lines()
        signal.label(label)
        figure.draw(signal)
    figure.title(f"The last {len(shown)} blocks")
    return str(figure.build().string(colorless=not colors))


def _column(forecasts: Sequence[Forecast], index: int) -> list[float]:
    """Forecasts of a target; NaN, which is not drawn, where the processor made none."""
    found = (forecast.forecasts[index] for forecast in forecasts)
    return [float("nan") if value is None else value for value in found]


def _actual(forecasts: Sequence[Forecast]) -> list[float]:
    return [forecast.actuals[FEERATE_P50] for forecast in forecasts]


def _moving_sum(values: Sequence[float], over: int) -> list[float]:
    sums = [0.0, *accumulate(values)]
    return [sums[end] - sums[max(0, end - over)] for end in range(1, len(sums))]
