"""Two thousand blocks with thirty reorganisations, gaps, late and repeated blocks, over four partitions,
with workers killed: the latest view ends as if the chain had come in perfect order."""

import asyncio
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

from app.chain.extract import extract
from app.config import Settings
from app.labels.registry import builtin_labels
from app.pipeline.chain import Chain
from app.processors.registry import enabled_processors
from app.sources.scenario import Scenario
from app.sources.simulator import CHAIN
from app.verify.run import verify
from app.verify.span import Asked
from tests.support.blocks import message
from tests.support.latest import Content, Key, Latest, shown
from tests.support.probe import Probe, probe, until
from tests.support.processes import Worker, worker

SCENARIO = Scenario(
    seed=11, blocks=2000, reorgs=30, max_depth=6, gaps=3, late=20, doubles=60, equal_times=10, empty=5,
    full=5, transactions=(2, 6),
)  # fmt: skip
STAGES: tuple[tuple[str, ...], ...] = ("blocks",), ("dedupe",), ("sink", "sqlite")
WORK = {
    STAGES[0]: ("blocks", "block-features"),
    STAGES[1]: ("dedupe", "signals.raw"),
    STAGES[2]: ("sink.sqlite", "signals"),
}
"""A stage's group and what it reads."""
COLUMNS = "ts, name, value, score, confidence, block_hash, metadata"
DEADLINE_S = 180.0


class Crew:
    """One worker of each stage."""

    def __init__(self, settings: Settings, stack: ExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self._starts = 0
        self.running = {name: self._start(name) for name in STAGES}

    def _start(self, name: tuple[str, ...]) -> Worker:
        self._starts += 1
        return self._stack.enter_context(worker(self._settings, *name, tag=f"-{self._starts}"))

    def kill(self, name: tuple[str, ...]) -> None:
        """And put another one in its place."""
        assert self.running[name].kill() == -9
        self.running[name] = self._start(name)

    def check(self) -> None:
        for name, running in self.running.items():
            assert running.returncode is None, f"{name} ended: {running.log}"


def in_perfect_order(settings: Settings) -> dict[Key, Content]:
    chain, store = Chain(enabled_processors(settings)), Latest()
    for number, value in enumerate(SCENARIO.perfect(), 1):
        features = extract(value, chain=CHAIN, isolated=False, labels=builtin_labels())
        store.take(chain.arrive(features, now_ms=number, version=number).batches)
    return store.rows()


def in_the_store(file: Path) -> dict[Key, Content]:
    return {(row[0], row[1]): row[2:] for row in shown(file, COLUMNS)}


def logs(settings: Settings) -> str:
    return "".join(file.read_text() for file in settings.data_dir.glob("blocks-*.log"))


def in_parts(blocks: list[bytes]) -> list[list[bytes]]:
    """Cut where a branch that is lost in the end has just come: it is the chain until the next part."""
    ends = [blocks.index(value) + 1 for value in SCENARIO.orphans[:: len(SCENARIO.orphans) // 8]]
    cuts = sorted({0, *ends, len(blocks)})
    return [blocks[start:end] for start, end in pairwise(cuts)]


async def killed_at_work(found: Probe, crew: Crew, stage: tuple[str, ...]) -> None:
    group, topic = WORK[stage]

    async def halfway() -> int:
        crew.check()
        return await found.lag(group, topic)

    await until(halfway, f"{group} has work left on {topic}", log=lambda: crew.running[stage].log)
    crew.kill(stage)


async def idle(found: Probe, crew: Crew) -> None:
    async def nothing_left() -> bool:
        crew.check()
        return not any([await found.lag("blocks", "blocks"), await found.lag("blocks", "block-features")])

    await until(nothing_left, "all blocks are processed", DEADLINE_S)


async def test_a_disturbed_chain_ends_as_in_perfect_order(settings: Settings) -> None:
    settings = settings.model_copy(update={"sinks": ("sqlite",), "gap_wait_s": 2.0})
    expected = await asyncio.to_thread(in_perfect_order, settings)
    parts = in_parts(SCENARIO.disturbed())
    async with probe(settings) as found:
        with ExitStack() as stack:
            crew = Crew(settings, stack)
            for number, part in enumerate(parts):
                await found.send("blocks", map(message, part))
                await killed_at_work(found, crew, STAGES[number % len(STAGES)])
                await idle(found, crew)

            async def the_same() -> bool:
                crew.check()
                return in_the_store(settings.sqlite_file) == expected

            await until(the_same, "the store ends as in perfect order", DEADLINE_S)
            verdict = await verify(settings, Asked(), lambda _what, _total: lambda _done: None)
            assert verdict.complete
            assert [finding for finding in verdict.findings if finding.kind != "outstanding"] == []
    seen = "".join(file.read_text() for file in settings.data_dir.glob("blocks-*.log"))
    assert seen.count("block left the chain") > 3
    assert "gap passed" in seen
