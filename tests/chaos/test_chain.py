"""Two thousand blocks with thirty reorganisations, gaps, late and repeated blocks, over four partitions,
with workers killed: the latest view ends as if the chain had come in perfect order."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

from app.chain.extract import extract
from app.config import Settings
from app.labels.registry import builtin_labels
from app.model.block import HEADER_DECODER
from app.pipeline.chain import Chain
from app.processors.registry import enabled_processors
from app.sources.scenario import Scenario
from app.sources.simulated.disorder import NEAR
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


def in_parts(blocks: list[bytes]) -> list[tuple[list[bytes], str]]:
    """Cut where a block that is lost in the end is higher than all that came before it, with its hash: it
    is the tip of the chain until the next part comes. What is below it and just a little late comes before
    the cut; what is later is a gap."""
    headers = {value: HEADER_DECODER.decode(value) for value in blocks}
    lost, left, highest = set(SCENARIO.orphans), list(blocks), -1
    parts: list[tuple[list[bytes], str]] = [([], "")]
    while left:
        value = left.pop(0)
        parts[-1][0].append(value)
        header = headers[value]
        if value in lost and header.height > highest and len(parts[-1][0]) > len(blocks) // 12:
            near = left[:NEAR]
            below = [other for other in near if headers[other].height < header.height]
            left[:NEAR] = [other for other in near if other not in below]
            parts[-1] = ([*parts[-1][0], *below], header.hash)
            parts.append(([], ""))
        highest = max(highest, header.height)
    return [*parts[:-1], (parts[-1][0], headers[SCENARIO.main[-1]].hash)]


async def killed_at_work(found: Probe, crew: Crew, stage: tuple[str, ...]) -> None:
    group, topic = WORK[stage]

    async def halfway() -> int:
        crew.check()
        return await found.lag(group, topic)

    await until(halfway, f"{group} has work left on {topic}", log=lambda: crew.running[stage].log)
    crew.kill(stage)


async def reached(settings: Settings, crew: Crew, tip: str) -> None:
    """Gaps below it are passed after a while."""

    async def is_computed() -> bool:
        crew.check()
        return tip in logs(settings)

    await until(is_computed, f"{tip} is computed", DEADLINE_S)


async def test_a_disturbed_chain_ends_as_in_perfect_order(settings: Settings) -> None:
    settings = settings.model_copy(update={"sinks": ("sqlite",), "gap_wait_s": 2.0})
    expected = await asyncio.to_thread(in_perfect_order, settings)
    parts = in_parts(SCENARIO.disturbed())
    async with probe(settings) as found:
        with ExitStack() as stack:
            crew = Crew(settings, stack)
            for number, (part, tip) in enumerate(parts):
                await found.send("blocks", map(message, part))
                await killed_at_work(found, crew, STAGES[number % len(STAGES)])
                await reached(settings, crew, tip)

            async def the_same() -> bool:
                crew.check()
                return in_the_store(settings.sqlite_file) == expected

            await until(the_same, "the store ends as in perfect order", DEADLINE_S)
            verdict = await verify(settings, Asked(), lambda _what, _total: lambda _done: None)
            assert verdict.complete
            assert [finding for finding in verdict.findings if finding.kind != "outstanding"] == []
    assert logs(settings).count("block left the chain") >= len(parts) - 1 > 5
    assert "gap passed" in logs(settings)
