"""`sigstream ingest`: blocks from files or from the simulator onto the `blocks` topic."""

import asyncio
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from rich.markup import escape

from app.cli.console import counter, err, out, quiet_logging
from app.config import Settings
from app.sources.files import block_files, read_block_file
from app.sources.ingest import Report, Source, in_memory, ingest
from app.sources.scenario import Scenario
from app.sources.simulator import simulate


def ingest_files(settings: Settings, paths: list[Path], chain: str, *, isolated: bool) -> bool:
    """Send the blocks of files and directories; False when one of them was not sent."""
    sources = of_files(paths)
    return _show(settings, _send(settings, sources, len(sources), chain, isolated))


def ingest_simulation(settings: Settings, blocks: int, seed: int, chain: str) -> bool:
    """Send simulated blocks; False when one of them was not sent."""
    return _show(settings, _send(settings, in_memory(simulate(blocks, seed)), blocks, chain, False))


def ingest_scenario(settings: Settings, scenario: Scenario, chain: str) -> bool:
    """Send a scenario's blocks in its disturbed order; False when one of them was not sent."""
    order = scenario.disturbed_order()
    return _show(settings, _send(settings, in_memory(map(scenario.make, order)), len(order), chain, False))


def of_files(paths: Iterable[Path]) -> list[Source]:
    """Sources of files and folders. Raises ConfigurationError for a folder without blocks."""
    return [Source(str(file), partial(read_block_file, file)) for file in block_files(paths)]


def _send(settings: Settings, sources: Iterable[Source], total: int, chain: str, isolated: bool) -> Report:
    quiet_logging(settings)
    with counter() as progress:
        task = progress.add_task("blocks", total=total)
        done = partial(progress.advance, task)
        return asyncio.run(ingest(settings, sources, chain, isolated=isolated, done=done))


def _show(settings: Settings, report: Report) -> bool:
    """Where the blocks are on stdout, what went wrong on stderr."""
    out().print(f"{len(report.sent)} blocks sent to {settings.topic('blocks')}", highlight=False)
    for partition, (count, first, last) in report.ranges().items():
        line = f"  partition {partition}: {count} blocks, offsets {first} to {last}"
        out().print(line, highlight=False)
    for label, reason in report.failed.items():
        err().print(f"[red]not sent:[/] {escape(label)}: {escape(reason)}", soft_wrap=True, highlight=False)
    return not report.failed
