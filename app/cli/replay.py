"""`sigstream replay`: signals to the stores once more, or blocks through the processors."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from rich.table import Table

from app.cli.bar import StagesBar
from app.cli.console import out, print_json, quiet_logging
from app.config import Settings
from app.errors import ConfigurationError, ContractError
from app.observe import metrics
from app.replay.asked import Asked
from app.replay.recompute import TARGET, Recomputation, Wanted
from app.replay.run import Report, replay_signals
from app.replay.tally import Tally
from app.replay.watch import Watch
from app.sources.session import until_stopped

STOPPED = 130
"""Exit code after Ctrl-C."""


class Options(NamedTuple):
    """Of the command."""

    sinks: tuple[str, ...]
    dry: bool
    as_json: bool
    metrics_port: int


def run_replay(settings: Settings, asked: Asked, options: Options) -> int:
    """Replay and say what came of it; the exit code. Raises SigstreamError."""
    sinks = tuple(dict.fromkeys(options.sinks)) or settings.required_sinks
    report: Report = {}

    async def work(watch: Watch) -> None:
        await replay_signals(settings, asked, sinks, report, watch, dry=options.dry)

    return _run(settings, options, work, report)


def run_recompute(settings: Settings, wanted: Wanted, options: Options) -> int:
    """Compute again and say what came of it; the exit code. Raises SigstreamError."""
    if options.sinks:
        raise ConfigurationError("--sink belongs to signals: what --recompute sends goes to all sinks")
    report: Report = {TARGET: Tally()}

    async def work(watch: Watch) -> None:
        await Recomputation(settings, wanted, report[TARGET], watch).run(dry=options.dry)

    return _run(settings, options, work, report)


def _run(
    settings: Settings, options: Options, work: Callable[[Watch], Coroutine[Any, Any, None]], report: Report
) -> int:
    quiet_logging(settings)
    metrics.serve(settings.model_copy(update={"metrics_port": options.metrics_port}))
    with StagesBar("replay") as bar:
        goes_on = not options.dry
        ended = False
        try:
            ended = asyncio.run(until_stopped(work(bar), (signal.SIGINT, signal.SIGTERM)))
        except (ConfigurationError, ContractError):
            goes_on = False  # the command, or a setting, has to be another
            raise
        finally:
            if goes_on and not ended:
                bar.say("stopped: the same command goes on from here")
    if options.as_json:
        print_json(_document(report, ended=ended, dry=options.dry))
    else:
        _show(report, dry=options.dry)
    return 0 if ended else STOPPED


def _document(report: Report, *, ended: bool, dry: bool) -> dict[str, object]:
    found = {
        target: {
            "total": tally.total(),
            "names": tally.by_name(),
            "examples": [change._asdict() for change in tally.examples()],
            "reasons": tally.reasons,
            "appended": tally.appended,
        }
        for target, tally in report.items()
    }
    return {"ended": ended, "dry_run": dry, "targets": found}


def _show(report: Report, *, dry: bool) -> None:
    console = out()
    for target, tally in report.items():
        console.print(_table(target, tally, dry=dry))
        for name, reason in tally.reasons.items():
            console.print(f"rejected, for example: {name}: {reason}", highlight=False, markup=False)
        if tally.appended is not None:
            console.print(f"{tally.appended:,} rows would be appended to the history")
        if tally.changes:
            console.print(_examples(tally))


def _table(target: str, tally: Tally, *, dry: bool) -> Table:
    outcomes = sorted(tally.total(), key=_place)
    title = f"{target}: what would be written (dry run)" if dry else target
    table = Table("signal", title=title, title_justify="left", show_footer=True)
    table.columns[0].footer = "all"
    for outcome in outcomes:
        table.add_column(outcome, f"{tally.total()[outcome]:,}", justify="right")
    for name, counts in tally.by_name().items():
        table.add_row(name, *(f"{counts[outcome]:,}" for outcome in outcomes))
    return table


ORDER = ("inserted", "updated", "unchanged", "retracted", "cold", "rejected")


def _place(outcome: str) -> int:
    return ORDER.index(outcome) if outcome in ORDER else len(ORDER)


def _examples(tally: Tally) -> Table:
    table = Table("outcome", title="For example", title_justify="left")
    table.add_column("signal", overflow="fold")
    table.add_column("old -> new", overflow="fold")
    for change in tally.examples():
        table.add_row(change.outcome, change.key, f"{_say(change.old)} -> {_say(change.new)}")
    return table


def _say(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.12g}"
