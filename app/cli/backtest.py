"""`sigstream backtest`: forecasts of a processor against what came."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import orjson
from rich.table import Table

from app.backtest.blocks import ALL_HEIGHTS, BlocksTopic, Heights, read_files, read_topic
from app.backtest.evaluate import Report, Score, evaluate
from app.backtest.plot import check_picture, in_characters, save_picture
from app.backtest.replay import replay
from app.backtest.stats import read_stats
from app.cli.console import err, out, print_json, quiet_logging, spinner
from app.config import Settings
from app.errors import ConfigurationError
from app.model.features import BlockFeatures
from app.processors.registry import ProcessorConfig, make_processors

BUDGET_S = 60.0
"""A processor's time for one block: a busy machine must not change the result."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to run over which blocks."""

    processor: str
    params: Sequence[str] = ()
    """`name=value`, the value as JSON or as text."""
    stats: Path | None = None
    sources: Sequence[Path] = ()
    topic: str | None = None
    """One of these three says where the blocks are."""
    heights: Heights = ALL_HEIGHTS
    chain: str = "BTC"
    warm_up: int = 200
    plot: Path | None = None


def run_backtest(settings: Settings, request: Request, *, as_json: bool) -> None:
    """Print how the forecasts fared. Raises ConfigurationError, ContractError or Transient for blocks that
    can't be had, Terminal where the processor fails."""
    quiet_logging(settings)
    if request.plot is not None:
        check_picture(request.plot)
    with spinner("backtest"):
        report = _report(settings, request)
        if request.plot is not None:
            save_picture(report, request.plot)
    if as_json:
        print_json(report.summary())
    else:
        _show(report)


def _report(settings: Settings, request: Request) -> Report:
    params = {**settings.processor_params.get(request.processor, {}), **_params(request.params)}
    config = ProcessorConfig(params=params, budget_s=BUDGET_S)
    (processor,) = make_processors({request.processor: config})
    blocks = _blocks(settings, request)
    return evaluate(request.processor, replay(processor, blocks), warm_up=request.warm_up)


def _params(texts: Sequence[str]) -> dict[str, Any]:
    params = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name.isidentifier():
            raise ConfigurationError(f"--param is {text!r}: write name=value, as in learning_rate=0.05")
        try:
            params[name] = orjson.loads(value)
        except orjson.JSONDecodeError:
            params[name] = value
    return params


def _blocks(settings: Settings, request: Request) -> list[BlockFeatures]:
    given = [request.stats is not None, bool(request.sources), request.topic is not None]
    if sum(given) != 1:
        raise ConfigurationError("name blocks by one of --stats FILE, --source FILE_OR_FOLDER, --topic NAME")
    if request.stats is not None:
        found = read_stats(request.stats, chain=request.chain)
        return [block for block in found if block.height in request.heights]
    if request.sources:
        return read_files(request.sources, request.heights, chain=request.chain)
    for topic in get_args(BlocksTopic):
        if request.topic == topic:
            return read_topic(settings, topic, request.heights, chain=request.chain)
    raise ConfigurationError(f"--topic is {request.topic!r}: there are {', '.join(get_args(BlocksTopic))}")


def _show(report: Report) -> None:
    first, last = report.forecasts[0].height, report.forecasts[-1].height
    table = Table(
        "forecast of", title=f"{len(report.forecasts):,} blocks, {first} to {last}", title_justify="left"
    )
    for column in ("blocks", "mean abs. error", "of last block", "pinball loss", "of last block", "skill"):
        table.add_column(column, justify="right")
    for score in report.scores:
        table.add_row(*_row(score))
    out().print(table)
    if report.coverage_p25_p75 is not None:
        out().print(
            f"median fee rate within forecast p25 to p75: {report.coverage_p25_p75:.1%} of the blocks",
            highlight=False,
        )
    _show_chart(report)


def _row(score: Score) -> list[str]:
    numbers = (score.mae, score.mae_last_block, score.pinball, score.pinball_last_block)
    shown = "" if score.skill is None else f"{score.skill:+.1%}"
    return [score.name, f"{score.n:,}", *(f"{number:.4g}" for number in numbers), shown]


def _show_chart(report: Report) -> None:
    try:
        chart = in_characters(report, colors=sys.stdout.isatty())
    except ConfigurationError as error:
        err().print(f"no chart: {error}", markup=False, highlight=False)
    else:
        sys.stdout.write(chart + "\n")
