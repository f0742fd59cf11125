"""History computed beside a live pipeline, stopped and killed on the way: the stores end as if one pipeline
had computed all of it."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from app.config import Settings
from app.embedded.bigquery import BigQuery
from app.embedded.postgres import Postgres
from app.query.kafka import open_reader
from app.sources.scenario import Scenario
from app.sources.simulated.block import Place
from app.sources.simulator import CHAIN
from app.streaming.topics import pipeline_topics
from tests.support.blocks import message, record_of
from tests.support.history import (
    PROVIDER,
    WITHIN_S,
    Content,
    at_rest_with,
    computed,
    differences,
    in_range,
    stored,
)
from tests.support.metrics import of, ports_in_a_row, scraped
from tests.support.pipeline import View, running, view, with_stores
from tests.support.processes import Worker, program, sigstream
from tests.support.stores import BigQueryStore, Key, PostgresStore, SqliteStore

SCENARIO = Scenario(seed=5, blocks=190, transactions=(2, 6))
LIVE_FROM = 150
"""The live pipeline stores signals from this height on; ..."""
FORK = 155
"""... it was on a branch of two blocks from here on, which is lost; the backfill's source ends in it."""
REORGANISED = FORK + 5
"""The live chain is here when the backfill begins, and goes on while it runs."""
LOST = [SCENARIO.make(Place(FORK, 1, 0)), SCENARIO.make(Place(FORK + 1, 1, 1))]
PORTS = 1 + 3 + 3 + 1
"""Of the command, its agents, its sinks, and the second worker that reads blocks."""
AGAIN = 40
"""Blocks of a second backfill."""


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

    def __init__(
        self, settings: Settings, stack: ExitStack, suffix: str, source: Path, first: int, last: int
    ) -> None:
        self.namespace = f"{settings.namespace}{suffix}"
        self._settings = settings
        self._stack = stack
        heights = ("--from", str(first), "--to", str(last), "--chain", CHAIN)
        self._arguments = ["backfill", "--namespace", self.namespace, "--source", str(source), *heights]
        self._arguments += ["--niceness", "0"]  # a loaded machine would starve it

    def start(self, tag: str, *more: str) -> Worker:
        command = [sys.executable, "-m", "app.main", *self._arguments, *more]
        return self._stack.enter_context(program(self._settings, command, f"backfill-{tag}"))

    def run(self, *more: str) -> str:
        return sigstream(self._settings, *self._arguments, *more, within_s=WITHIN_S)


async def there(pipe: View, keys: set[Key]) -> int:
    """How many of the keys are in the store."""
    return len(keys & set(await pipe.stores["sqlite"].rows()))


async def reached(pipe: View, run: Worker, keys: set[Key], share: float) -> None:
    """So much of what the backfill alone stores is there, and not all."""

    async def some() -> bool:
        assert run.returncode is None, run.log
        return await there(pipe, keys) >= share * len(keys)

    await pipe.until(some, f"{share:.0%} of the history is stored; {run.log}", WITHIN_S)
    assert await there(pipe, keys) < len(keys)


async def ends(pipe: View) -> dict[str, int]:
    """Records of every topic of the live namespace."""
    names = [topic.name for topic in pipeline_topics(pipe.settings)]
    short = [name.removeprefix(f"{pipe.settings.namespace}.") for name in names]
    return {name: await pipe.kafka.count(name) for name in short}


async def gone(namespace: str) -> bool:
    return not children_of(namespace)


async def test_history_beside_a_live_chain(
    settings: Settings, postgres: Postgres, bigquery: BigQuery, tmp_path: Path
) -> None:
    main = SCENARIO.main
    source = write_files(tmp_path / "old", [*main[:FORK], *LOST])
    stores = (SqliteStore(), PostgresStore(postgres), BigQueryStore(bigquery))
    base, found = await with_stores(settings, stores)
    live = base.model_copy(update={"emit_from_height": LIVE_FROM})
    expected = await asyncio.to_thread(computed, live, main)
    history = in_range(expected, main, 0, LIVE_FROM)
    began = datetime.now(UTC)
    with running(live, found) as pipeline, ExitStack() as stack:
        async with view(pipeline) as pipe:
            await pipe.kafka.send("blocks", map(message, [*main[:FORK], *LOST]))
            await at_rest_with(pipe, in_range(expected, main, LIVE_FROM, FORK))
            await pipe.kafka.send("blocks", map(message, main[FORK:REORGANISED]))
            await at_rest_with(pipe, in_range(expected, main, LIVE_FROM, REORGANISED))
            before = await ends(pipe)
            command = Backfill(base, stack, "bf", source, 0, FORK + 1)
            await stopped_and_killed(pipe, command, history, main[REORGANISED:])
            said = await asyncio.to_thread(command.run)
            await at_rest_with(pipe, set(expected))
            after = await ends(pipe)
            await as_expected(pipe, expected)
            await nothing_comes_of_a_repetition(pipe, Backfill(base, stack, "again", source, 0, AGAIN - 1))
            await as_expected(pipe, expected)
    assert await differences(live) == {("extra", sink, len(history)) for sink in found}
    assert await differences(live, since=began) == set()
    assert f"{FORK + 2} of {FORK + 2} blocks" in said
    grown = {topic: after[topic] - before[topic] for topic in after}
    assert grown["blocks"] == grown["signals.raw"] == grown["signals"] == len(main) - REORGANISED


async def stopped_and_killed(pipe: View, command: Backfill, history: set[Key], rest: Sequence[bytes]) -> None:
    """In the middle of its work; between the two the live chain goes on."""
    port = ports_in_a_row(PORTS)
    killed = command.start("killed", "--metrics-port", str(port))
    await reached(pipe, killed, history, 0.1)
    await asyncio.to_thread(tells_how_far_it_is, port, command.namespace)
    assert killed.kill() == -signal.SIGKILL
    await pipe.until(lambda: gone(command.namespace), "the workers end with the command", WITHIN_S)
    await pipe.kafka.send("blocks", map(message, rest))
    stopped = command.start("stopped")
    await reached(pipe, stopped, history, await there(pipe, history) / len(history) + 0.1)
    assert await asyncio.to_thread(stopped.interrupt, WITHIN_S) == 130, stopped.log
    assert await there(pipe, history) < len(history)


def tells_how_far_it_is(port: int, namespace: str) -> None:
    """The command at its port, the first of its workers at the next one."""
    found, labels = scraped(port), {"namespace": namespace}
    assert found[of("sigstream_backfill_blocks_wanted", **labels)] == FORK + 2
    assert 0 <= found[of("sigstream_backfill_blocks_stored", **labels)] < FORK + 2
    assert found[of("sigstream_backfill_signals_stored", **labels)] >= 0
    assert found[of("sigstream_backfill_seconds_left", **labels)] >= -1
    assert of("process_cpu_seconds_total") in scraped(port + 1)


async def as_expected(pipe: View, expected: dict[Key, Content]) -> None:
    """All that counts is what one pipeline computes of the main chain, and no version is there twice."""
    for name, store in pipe.stores.items():
        assert await stored(store) == expected, name
        assert set((await store.versions(PROVIDER)).values()) == {1}, name


async def nothing_comes_of_a_repetition(pipe: View, command: Backfill) -> None:
    """In another namespace, whose topics go afterwards; the stores have as many rows as before."""
    rows = [await store.count(PROVIDER) for store in pipe.stores.values()]
    said = await asyncio.to_thread(command.run, "--clean")
    for line in said.splitlines():
        if line.strip("│┃ ").startswith(("bigquery", "sqlite", "timescale")):
            inserted, updated, *_ = [int(word) for word in line.split() if word.isdigit()]
            assert (inserted, updated) == (0, 0), said
    assert f"{AGAIN} of {AGAIN} blocks" in said
    assert rows == [await store.count(PROVIDER) for store in pipe.stores.values()]
    async with open_reader(pipe.settings) as reader:
        assert not [name for name in await reader.topics() if name.startswith(f"{command.namespace}.")]
