"""`sigstream ingest`: blocks from files or from the simulator onto the `blocks` topic."""

import asyncio
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rich.markup import escape

from app.cli.console import counter, err, out, quiet_logging
from app.config import Settings
from app.errors import ConfigurationError
from app.sources.economy import EconomyScenario, labels_csv
from app.sources.files import block_files, read_block_file
from app.sources.ingest import Report, Source, in_memory, ingest
from app.sources.scenario import Scenario
from app.sources.simulator import simulate


def ingest_files(settings: Settings, paths: list[Path], chain: str, *, isolated: bool) -> bool:
    """Send the blocks of files and directories; False when one of them was not sent."""
    sources = of_files(paths)
    return _show(settings, _send(settings, sources, len(sources), chain, isolated))


class Simulation(NamedTuple):
    """What is asked of the simulator; numbers as in `Scenario`."""

    blocks: int
    seed: int
    reorgs: int = 0
    depth: int | None = None
    """None: as a scenario's."""
    gaps: int = 0
    late: int = 0
    doubles: int = 0
    economy: bool = False
    """A chain with real flows between labelled owners."""
    labels_to: Path | None = None
    """Where to write who these are."""

    @property
    def disturbed(self) -> bool:
        """Whether anything goes wrong."""
        return bool(self.reorgs or self.gaps or self.late or self.doubles)


def ingest_simulation(settings: Settings, wanted: Simulation, chain: str) -> bool:
    """Send simulated blocks, disturbed ones out of order; False when one of them was not sent.

    Raises ConfigurationError for what does not go together.
    """
    _check(wanted)
    if wanted.labels_to is not None:
        _write(wanted.labels_to, labels_csv())
    if not wanted.blocks:
        out().print(f"labels written to {wanted.labels_to}, no blocks sent", highlight=False, markup=False)
        return True
    blocks, total = _simulated(wanted)
    return _show(settings, _send(settings, in_memory(blocks), total, chain, False))


def _simulated(wanted: Simulation) -> tuple[Iterable[bytes], int]:
    """The blocks, made as they are taken, and how many they are."""
    if not (wanted.economy or wanted.disturbed):
        return simulate(wanted.blocks, wanted.seed), wanted.blocks
    scenario = _scenario(wanted)
    order = scenario.disturbed_order() if wanted.disturbed else scenario.perfect_order()
    return map(scenario.make, order), len(order)


def _check(wanted: Simulation) -> None:
    if wanted.depth is not None and not wanted.reorgs:
        raise ConfigurationError("--depth belongs to --reorgs: add --reorgs N, or leave it out")
    if wanted.labels_to is not None and not wanted.economy:
        raise ConfigurationError("--labels-to belongs to --economy: add --economy, or leave it out")
    if not wanted.blocks and wanted.labels_to is None:
        raise ConfigurationError("--blocks 0 sends nothing: say how many, or add --economy --labels-to FILE")


def _scenario(wanted: Simulation) -> Scenario:
    kind = EconomyScenario if wanted.economy else Scenario
    depth = Scenario.max_depth if wanted.depth is None else wanted.depth
    return kind(wanted.seed, wanted.blocks, wanted.reorgs, depth, wanted.gaps, wanted.late, wanted.doubles)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text)
    except OSError as error:
        raise ConfigurationError(
            f"{file} can't be written ({error.strerror or error}): name another file with --labels-to"
        ) from error


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
