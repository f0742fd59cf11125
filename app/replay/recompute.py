"""Blocks of a chain through the processors once more; what differs goes to `signals.raw`."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain

from xxhash import xxh3_64_hexdigest

from app.backfill.plan import plan_topic
from app.backtest.replay import Memory
from app.config import Settings
from app.errors import ConfigurationError
from app.labels.watch import LabelSource
from app.model.keys import canonical_symbol
from app.model.receipt import Outcome
from app.model.signal import SignalBatch
from app.observe import metrics
from app.processors.history import WINDOW, History
from app.processors.registry import enabled_processors
from app.processors.run import Enabled, run_processors
from app.query.kafka import Reader, open_reader
from app.replay.asked import Asked, Unit, ranges_of
from app.replay.blocks import BlockReader, Blocks, Found, chain_in
from app.replay.compare import Block, changes, left_behind, lengths
from app.replay.followed import Followed
from app.replay.known import read_known
from app.replay.live import live_chain
from app.replay.outlet import Outlet, open_outlet
from app.replay.spool import Spool, spool
from app.replay.tally import Tally
from app.replay.watch import Counted, Watch

TARGET = "signals.raw"
EVERY = 10
"""Blocks between two marks of how far it is."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A recomputation."""

    asked: Asked
    chain: str
    warm_up: int | None = None
    """Blocks read before the first that is computed for; None: all that are there."""
    allow_cold: bool = False


class Recomputation:
    """One run."""

    def __init__(self, settings: Settings, wanted: Wanted, tally: Tally, watch: Watch) -> None:
        self._settings = settings
        self._wanted = wanted
        self._chain = canonical_symbol(wanted.chain)
        self._processors: Sequence[Enabled] = enabled_processors(settings)
        self._labels = LabelSource(settings.labels).current
        self._tally = tally
        self._truncated = False
        self._watch = Counted(watch, TARGET)

    @property
    def job(self) -> str:
        """What makes it the same: what is asked for, and what it is computed by."""
        settings = self._settings
        params = sorted(settings.processor_params.items())
        by = (settings.processors, params, self._labels.version, settings.emit_from_height)
        wanted = self._wanted
        how = f"{wanted.warm_up} {wanted.allow_cold} {xxh3_64_hexdigest(repr(by).encode())}"
        return f"{wanted.asked} of {self._chain} {how}"

    async def run(self, *, dry: bool) -> None:
        """To the end. Raises SigstreamError; what was sent by then is done."""
        group = self._settings.group(f"replay.recompute.{self._chain}")
        async with open_reader(self._settings) as reader:
            with spool() as held:
                if dry:
                    await self._run(reader, held, None)
                    return
                await _check_live(self._settings, reader)
                # Joined first: what another one has sent is known then.
                async with open_outlet(self._settings, reader, group) as outlet:
                    await self._run(reader, held, outlet)

    async def _run(self, reader: Reader, held: Spool, outlet: Outlet | None) -> None:
        blocks = await self._read(reader, held)
        live = await live_chain(self._settings, reader, self._chain)
        linked = chain_in(blocks, live)
        alone = [block for block in blocks.by_hash.values() if block.isolated]
        wanted = [block for block in linked if self._is_wanted(block)]
        lone = [block for block in alone if self._is_wanted(block)]
        if not wanted and not lone:
            raise self._nothing(blocks, linked)
        path = self._path(linked, wanted)
        times = {block.ts for block in blocks.by_hash.values() if self._is_wanted(block)}
        await read_known(
            self._settings,
            reader,
            self._chain,
            times | {block.ts for block in path[:1]},
            held,
            self._watch,
            allow_cold=self._wanted.allow_cold,
        )
        self._truncated = bool(path) and self._is_truncated(held, blocks, linked, path[0])
        self._check_warm_up(held, blocks, path, wanted)
        if outlet is not None:
            await outlet.begin(self.job, _ends(wanted, lone))
            if outlet.resumed:
                self._watch.say(f"goes on at height {outlet.next}, where it stopped")
        await self._compute(held, path, lone, outlet)
        await self._take_back(reader, held, blocks, outlet)
        if outlet is not None:
            await outlet.finish()

    async def _take_back(self, reader: Reader, held: Spool, blocks: Blocks, outlet: Outlet | None) -> None:
        """What is left of blocks that are not of the chain any more: some may have left it meanwhile."""
        live = await live_chain(self._settings, reader, self._chain)
        now = datetime.now(UTC)
        for block in blocks.by_hash.values():
            gone = not block.isolated and live.has_left(block.height, block.hash)
            if not gone or not self._is_wanted(block):
                continue
            batch = left_behind(block, held.signals(block.ts), self._tally, now)
            if outlet is not None and batch is not None:
                await self._send(outlet, held, batch)

    async def _read(self, reader: Reader, held: Spool) -> Blocks:
        topic = self._settings.topic("blocks")
        asked = self._wanted.asked
        whole = await ranges_of(reader, topic, Asked(Unit.OFFSET, None))
        spans = await ranges_of(reader, topic, asked)
        self._watch.begin("reading blocks", sum(span.end - span.first for span in whole))
        blocks = BlockReader(reader, self._chain, self._labels, held)
        found = await blocks.read(whole, spans, self._heights(), self._watch)
        if not found.by_hash:
            others = ", ".join(sorted(found.others)) or "nothing"
            raise ConfigurationError(
                f"topic {topic} holds no block of {self._chain}, but of {others}: choose with --chain, or "
                "send blocks first (`sigstream ingest`)"
            )
        return found

    def _heights(self) -> range | None:
        """Whose features are needed; None: all."""
        heights = self._wanted.asked.heights
        if heights is None:
            return None
        before = heights.start if self._wanted.warm_up is None else self._wanted.warm_up
        return range(max(0, heights.start - before), heights.stop)

    def _is_wanted(self, block: Found) -> bool:
        """Blocks below `emit_from_height` only warm up, here as in the live pipeline."""
        heights = self._wanted.asked.heights
        sent = block.height >= self._settings.emit_from_height
        return sent and block.asked and (heights is None or block.height in heights)

    def _nothing(self, blocks: Blocks, linked: Sequence[Found]) -> ConfigurationError:
        there = [block.height for block in linked] or [block.height for block in blocks.by_hash.values()]
        least = self._settings.emit_from_height
        return ConfigurationError(
            f"no block of {self._chain} is there for {self._wanted.asked}: the topic has heights "
            f"{min(there)} to {max(there)} of the chain; others have left it (retention), or were never sent"
            + (f", and SIGSTREAM_EMIT_FROM_HEIGHT leaves those below {least} as they are" if least else "")
        )

    def _path(self, linked: Sequence[Found], wanted: Sequence[Found]) -> list[Found]:
        """The blocks to compute, warm-up first."""
        if not wanted:
            return []
        first = linked.index(wanted[0])
        warm_up = first if self._wanted.warm_up is None else min(first, self._wanted.warm_up)
        return list(linked[first - warm_up : linked.index(wanted[-1]) + 1])

    def _is_truncated(self, held: Spool, blocks: Blocks, linked: Sequence[Found], first: Found) -> bool:
        """Whether the chain had blocks below the first that is read."""
        known = self._window(held, first)
        lost = known > 0 if known is not None else blocks.expired and first.height > 0
        return lost or first is not linked[0]

    def _check_warm_up(
        self, held: Spool, blocks: Blocks, path: Sequence[Found], wanted: Sequence[Found]
    ) -> None:
        """Raises ConfigurationError where nothing at all is there to warm up with, and should be."""
        if not wanted or self._wanted.allow_cold or path[0] is not wanted[0]:
            return
        first = wanted[0]
        known = self._window(held, first)
        if known or (known is None and first.height and blocks.expired):
            raise ConfigurationError(
                f"topic {self._settings.topic('blocks')} has no block of {self._chain} below height "
                f"{first.height} to warm up with"
                + (f", whose signals were computed with {known} before it" if known else "")
                + ": older ones have left it (retention), or --warm-up leaves none. Send them again "
                "(`sigstream ingest`), begin higher, or say --allow-cold"
            )

    def _window(self, held: Spool, block: Found) -> int | None:
        """Length of the window that a block's known signals were computed with; None: none are known."""
        known = [lengths(signal).get("window", 0) for signal in held.signals(block.ts).values()]
        return max(known, default=None)

    async def _compute(
        self, held: Spool, path: Sequence[Found], lone: Sequence[Found], outlet: Outlet | None
    ) -> None:
        self._watch.begin(TARGET, len(path) + len(lone))
        now = datetime.now(UTC)
        count = 0
        for block in chain(self._along(held, path), (self._alone(held, found) for found in lone)):
            count += 1
            self._watch.advance(1)
            await asyncio.sleep(0)  # computing is not waiting: signals and heartbeats come in here
            if not self._is_wanted(block.found) or (outlet and outlet.has(block.found)):
                continue
            batch = changes(
                block,
                held.signals(block.found.ts),
                self._tally,
                now,
                allow_cold=self._wanted.allow_cold,
            )
            if outlet is None:
                continue
            if batch is not None:
                await self._send(outlet, held, batch)
            if count % EVERY == 0 and not block.found.isolated:
                await outlet.mark(block.found.height + 1)

    async def _send(self, outlet: Outlet, held: Spool, batch: SignalBatch) -> None:
        await outlet.send(batch)
        held.add_signals(batch.ts, batch.signals)
        for signal in batch.signals:
            outcome = Outcome.UPDATED if signal.retracted_at is None else Outcome.RETRACTED
            metrics.replay_signals.labels(TARGET, outcome).inc()

    def _along(self, held: Spool, path: Sequence[Found]) -> Iterator[Block]:
        """The chain's blocks, each with those before it."""
        memory = Memory()
        for found in path:
            history = memory.before_as(Followed, found.height)
            block = self._one(held, found, history)
            memory.add(block.ran.past)
            short = history.too_short_for() if self._truncated else ()
            yield replace(block, length=min(WINDOW, len(history)), short=short)

    def _alone(self, held: Spool, found: Found) -> Block:
        return self._one(held, found, None)

    def _one(self, held: Spool, found: Found, history: History | None) -> Block:
        features = held.block(found.hash)
        ran = run_processors(
            self._processors, features, history, version=0, correlation_id=found.correlation_id
        )
        for name, error in ran.failures.items():
            self._watch.say(f"processor {name} failed at height {found.height}: {error}")
        names = {enabled.processor.name for enabled in self._processors}
        return Block(found, ran, ok=names - set(ran.failures))


async def _check_live(settings: Settings, reader: Reader) -> None:
    """Raises ConfigurationError in a backfill's namespace."""
    topic = plan_topic(settings).name
    if await reader.partitions(topic):
        raise ConfigurationError(
            f"namespace {settings.namespace} is a backfill's (topic {topic} is there): what --recompute "
            "sends would win over what the live pipeline has stored. Repeat `sigstream backfill --replace` "
            "with another --namespace, or set SIGSTREAM_NAMESPACE to the live pipeline's; --dry-run "
            "compares here, too"
        )


def _ends(wanted: Sequence[Found], lone: Sequence[Found]) -> range:
    heights = [block.height for block in (*wanted, *lone)]
    return range(min(heights), max(heights) + 1)
