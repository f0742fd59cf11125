"""A replay to one or several sinks."""

from collections.abc import Mapping, Sequence

from app.config import Settings
from app.errors import ConfigurationError
from app.query.kafka import open_reader
from app.replay.asked import Asked
from app.replay.dry import dry_run
from app.replay.store import Progress, StoreReplay, progress_of
from app.replay.tally import Tally
from app.replay.watch import Watch
from app.sinks.registry import SINKS

Report = dict[str, Tally]
"""By sink; filled while it runs."""


async def replay_signals(
    settings: Settings, asked: Asked, sinks: Sequence[str], report: Report, watch: Watch, *, dry: bool
) -> None:
    """`signals` to these sinks' stores, one after the other. Raises SigstreamError."""
    _check(sinks)
    async with open_reader(settings) as reader:
        if dry:
            for sink in sinks:
                report[sink] = await dry_run(settings, reader, asked, sink, watch)
            return
        job = f"{asked} to {', '.join(sinks)}"
        for sink in left({sink: await progress_of(settings, reader, job, sink) for sink in sinks}):
            replay = StoreReplay(settings, asked, sink, watch, job)
            report[sink] = replay.tally
            await replay.run(reader)


def left(progress: Mapping[str, Progress]) -> list[str]:
    """Sinks to write to, in order: all, but where a replay of the same has stopped those from the first
    that it had not done. One that it had not begun has no mark; one behind that has, has it from earlier.
    """
    sinks = list(progress)
    if Progress.STOPPED not in progress.values():
        return sinks
    return sinks[next(n for n, sink in enumerate(sinks) if progress[sink] is not Progress.DONE) :]


def _check(sinks: Sequence[str]) -> None:
    for name in sinks:
        if name not in SINKS:
            raise ConfigurationError(f"there is no sink {name!r}: choose one of {', '.join(SINKS)}")
