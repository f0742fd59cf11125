"""History computed beside a live pipeline, stopped and killed on the way: the stores end as if one pipeline
had computed all of it."""

import asyncio
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from app.config import Settings
from app.embedded.bigquery import BigQuery
from app.embedded.postgres import Postgres
from app.sources.scenario import Scenario
from app.sources.simulator import CHAIN
from app.streaming.topics import pipeline_topics
from tests.support.blocks import message, record_of
from tests.support.history import PROVIDER, at_rest_with, computed, in_range, stored
from tests.support.pipeline import View, running, view, with_stores
from tests.support.processes import Worker, program, sigstream
from tests.support.stores import BigQueryStore, Key, PostgresStore, SqliteStore

SCENARIO = Scenario(seed=5, blocks=300, transactions=(2, 6))
LIVE_FROM = 260
"""The live pipeline stores signals from this height on; ..."""
OVERLAP_TO = 270
"""... the backfill goes beyond it, ..."""
LIVE_TO = 290
"""... and the live chain goes on from here, while the backfill runs."""


def write_files(folder: Path, blocks: list[bytes]) -> Path:
    folder.mkdir()
    for value in blocks:
        (folder / f"{record_of(value).height}.json").write_bytes(value)
    return folder


def children_of(namespace: str) -> list[int]:
    """Processes that run with this namespace."""
    mark = f"SIGSTREAM_NAMESPACE={namespace}\0".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes() + b"\0":
                found.append(int(entry.name))
        except OSError:
            continue
    return found


class Backfill:
    """The command, as often as it takes."""

    def __init__(self, settings: Settings, stack: ExitStack, source: str, *more: str) -> None:
        self.namespace = f"{settings.namespace}bf"
        self._settings = settings
        self._stack = stack
        self._arguments = ["backfill", "--namespace", self.namespace, "--source", source, *more]

    def start(self, tag: str) -> Worker:
        command = [sys.executable, "-m", "app.main", *self._arguments]
        return self._stack.enter_context(program(self._settings, command, f"backfill-{tag}"))

    def run(self) -> str:
        return sigstream(self._settings, *self._arguments)


async def there(pipe: View, keys: set[Key]) -> int:
    """How many of the keys are in the store."""
    return len(keys & set(await pipe.stores["sqlite"].rows()))


async def reached(pipe: View, run: Worker, keys: set[Key], share: float) -> None:
    """So much of what the backfill alone stores is there, and not all."""

    async def some() -> bool:
        assert run.returncode is None, run.log
        return await there(pipe, keys) >= share * len(keys)

    await pipe.until(some, f"{share:.0%} of the history is stored; {run.log}")
    assert await there(pipe, keys) < len(keys)


async def ends(pipe: View) -> dict[str, int]:
    """Records of every topic of the live namespace."""
    names = [topic.name for topic in pipeline_topics(pipe.settings)]
    short = [name.removeprefix(f"{pipe.settings.namespace}.") for name in names]
    return {name: await pipe.kafka.count(name) for name in short}


async def test_history_beside_a_live_chain(
    settings: Settings, postgres: Postgres, bigquery: BigQuery, tmp_path: Path
) -> None:
    main = SCENARIO.main
    folder = write_files(tmp_path / "old", main[:OVERLAP_TO])
    stores = (SqliteStore(), PostgresStore(postgres), BigQueryStore(bigquery))
    base, found = await with_stores(settings, stores)
    live = base.model_copy(update={"emit_from_height": LIVE_FROM})
    expected = await asyncio.to_thread(computed, live, main)
    with running(live, found) as pipeline, ExitStack() as stack:
        async with view(pipeline) as pipe:
            await pipe.kafka.send("blocks", map(message, main[:LIVE_TO]))
            await at_rest_with(pipe, in_range(expected, main, LIVE_FROM, LIVE_TO))
            before, history = await ends(pipe), in_range(expected, main, 0, LIVE_FROM)
            command = Backfill(base, stack, str(folder), "--from", "0", "--to", str(OVERLAP_TO - 1),
                               "--chain", CHAIN)  # fmt: skip
            first = command.start("killed")
            await reached(pipe, first, history, 0.1)
            await pipe.kafka.send("blocks", map(message, main[LIVE_TO:]))
            assert first.kill() == -signal.SIGKILL
            await pipe.until(lambda: gone(command.namespace), "the workers end with the command")
            second = command.start("stopped")
            await reached(pipe, second, history, (await there(pipe, history)) / len(history) + 0.1)
            assert await asyncio.to_thread(second.interrupt) == 130, second.log
            assert await there(pipe, history) < len(history)
            said = await asyncio.to_thread(command.run)
            await at_rest_with(pipe, set(expected))
            after = await ends(pipe)
            for name, store in found.items():
                assert await stored(store) == expected, name
                assert set((await store.versions(PROVIDER)).values()) == {1}, name
    assert f"{OVERLAP_TO} of {OVERLAP_TO} blocks" in said
    grown = {topic: after[topic] - before[topic] for topic in after}
    assert grown["blocks"] == grown["signals.raw"] == grown["signals"] == len(main) - LIVE_TO


async def gone(namespace: str) -> bool:
    return not children_of(namespace)
