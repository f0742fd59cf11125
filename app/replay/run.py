"""A replay to one or several sinks."""

from collections.abc import Sequence

from app.config import Settings
from app.errors import ConfigurationError
from app.query.kafka import open_reader
from app.replay.asked import Asked
from app.replay.dry import dry_run
from app.replay.store import StoreReplay, is_unfinished
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
        unfinished = [sink for sink in sinks if await is_unfinished(settings, reader, asked, sink)]
        for sink in unfinished or sinks:
            replay = StoreReplay(settings, asked, sink, watch)
            report[sink] = replay.tally
            await replay.run(reader)


def _check(sinks: Sequence[str]) -> None:
    for name in sinks:
        if name not in SINKS:
            raise ConfigurationError(f"there is no sink {name!r}: choose one of {', '.join(SINKS)}")
