"""`sigstream ingest core` and `etl`: ranges, resuming, the rate, and what is said."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import orjson
import pytest

from app.config import Settings
from app.sources.core import Beside, feed_from_core
from app.sources.ingest import BlockProducer, read_block
from app.sources.outlet import Outlet
from app.sources.resume import resume_point
from app.sources.session import Wanted
from app.sources.simulator import simulate
from tests.support.cli import Cli
from tests.support.core_double import PASSWORD, CoreDouble
from tests.support.etl_export import write_export
from tests.support.heard import Heard
from tests.support.probe import Probe, probe, until
from tests.support.processes import program
from tests.support.real_blocks import REAL_BLOCKS, features


@pytest.fixture
def run(cli: Cli, core: Settings) -> Cli:
    """The command line on the test's own pipeline and node."""
    cli.use(core)
    cli.environment["SIGSTREAM_CORE_PASSWORD"] = PASSWORD
    return cli


async def heights(found: Probe) -> list[int]:
    """Of all blocks on the topic, in the order of their arrival."""
    records = sorted(await found.read("blocks"), key=lambda record: record.timestamp_ms)
    return [int(record.headers["height"]) for record in records]


def read_heights(settings: Settings) -> list[int]:
    """The same from outside of a loop, sorted."""

    async def read() -> list[int]:
        async with probe(settings) as found:
            return sorted(await heights(found))

    return asyncio.run(read())


def test_a_range(run: Cli, core: Settings) -> None:
    result = run("ingest", "core", "--from", "5", "--to", "20")
    assert result.exit_code == 0, result.stderr
    assert f"16 blocks sent to {core.topic('blocks')}, heights 5 to 20" in result.stdout
    assert "from block 5 on, as --from says" in result.stderr
    assert read_heights(core) == list(range(5, 21))


def test_it_goes_on_behind_what_the_topic_holds(run: Cli, core: Settings) -> None:
    run("ingest", "core", "--from", "3", "--to", "9")
    result = run("ingest", "core")
    assert "the topic holds BTC up to block 9: from block 10 on" in result.stderr
    assert "20 blocks sent" in result.stdout
    assert read_heights(core) == list(range(3, 30))
    again = run("ingest", "core")
    assert again.exit_code == 0
    assert "nothing to send: block 29 is the last one asked for" in again.stderr
    assert "no blocks sent" in again.stdout


def test_from_wins_over_what_the_topic_holds(run: Cli, core: Settings) -> None:
    run("ingest", "core", "--from", "3", "--to", "9")
    run("ingest", "core", "--from", "8", "--to", "10")
    assert read_heights(core) == sorted([*range(3, 10), 8, 9, 10])


def test_chains_resume_each_for_itself(run: Cli, core: Settings) -> None:
    run("ingest", "simulate", "--blocks", "25", "--chain", "OTHER")
    run("ingest", "core", "--from", "3", "--to", "4")
    result = run("ingest", "core", "--to", "6")
    assert "the topic holds BTC up to block 4: from block 5 on" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "the topic holds no block of BTC to resume behind: say where to begin with --from"),
        (["--from", "40", "--to", "41"], "block 41 is not there, the best chain ends at 29"),
        (["--from", "4", "--zmq", "tcp://127.0.0.1:1"], "--zmq and --mempool-every belong to following"),
        (["--follow", "--to", "5"], "--follow has no end: leave out --to"),
        (["--follow", "--zmq", "nonsense"], "--zmq 'nonsense' is no address"),
        (["--from", "4", "--chain", "btc"], "send 'BTC'"),
    ],
)
def test_what_can_not_be_is_said(run: Cli, arguments: list[str], says: str) -> None:
    result = run("ingest", "core", *arguments)
    assert result.exit_code == 1
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_the_password_is_never_shown(run: Cli, node: CoreDouble) -> None:
    node.password = "changed"
    run.environment["SIGSTREAM_LOG_LEVEL"] = "debug"
    result = run("ingest", "core", "--from", "1")
    assert "refuses the login" in result.stderr
    assert PASSWORD not in result.output
    assert PASSWORD not in result.stderr


def test_the_rate_is_kept(run: Cli) -> None:
    began = time.monotonic()
    result = run("ingest", "core", "--from", "1", "--to", "11", "--rate", "5")
    assert result.exit_code == 0, result.stderr
    assert time.monotonic() - began >= 10 / 5


def test_a_busy_node_is_waited_for(run: Cli, core: Settings, node: CoreDouble) -> None:
    run("ingest", "core", "--from", "1", "--to", "2")
    node.busy = 3
    result = run("ingest", "core", "--to", "5")
    assert result.exit_code == 0, result.stderr
    assert len(node.times("503")) == 3
    assert read_heights(core) == [1, 2, 3, 4, 5]


async def test_killed_in_the_middle_it_goes_on_without_a_gap(
    core: Settings, node: CoreDouble, tmp_path: Path
) -> None:
    node.extend(simulate(120, seed=1))
    command = [sys.executable, "-m", "app.main", "ingest", "core"]
    secret = {"SIGSTREAM_CORE_PASSWORD": PASSWORD}
    async with probe(core) as found:

        async def some() -> bool:
            return await found.count("blocks") >= 10

        slowly = [*command, "--from", "0", "--rate", "40"]
        with program(core, slowly, "first", **secret) as first:
            await until(some, "ten blocks", log=lambda: first.log)
            assert first.kill() == -signal.SIGKILL
        reached = await heights(found)
        assert len(reached) < 120
        with program(core, command, "second", **secret) as second:
            await until(lambda: _ended(second), "the end", log=lambda: second.log)
            assert second.returncode == 0, second.log
        assert sorted(await heights(found)) == list(range(120))


async def _ended(running: object) -> bool:
    return getattr(running, "returncode", None) is not None


async def test_a_stop_signal_ends_following_in_order(core: Settings, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app.main", "ingest", "core", "--from", "0", "--follow"]
    async with probe(core) as found:

        async def all_there() -> bool:
            return await found.count("blocks") == 30

        with program(core, command, "follow", SIGSTREAM_CORE_PASSWORD=PASSWORD) as running:
            await until(all_there, "thirty blocks", log=lambda: running.log)
            assert running.stop() == 0, running.log
            assert "30 blocks sent" in running.log


async def test_the_tail_of_the_topic_is_found_behind_other_chains(settings: Settings) -> None:
    async with BlockProducer(settings) as producer:
        for value in simulate(3, seed=1, start_height=7):
            await producer.send("x", read_block(value, "BTC"))
        for value in simulate(300, seed=2):
            await producer.send("x", read_block(value, "OTHER"))
        for value in REAL_BLOCKS:
            await producer.send("x", read_block(value, "BTC", isolated=True))
        assert Outlet(producer, "BTC").sent == 0
    found = await resume_point(settings, "BTC")
    assert (sorted(found.known), found.topic) == ([7, 8, 9], "blocks")
    assert (await resume_point(settings, "NOBODY")).known == {}


@pytest.fixture
def processed(core: Settings, node: CoreDouble) -> None:
    """What a chain leaves behind whose blocks are no longer kept: features of 5 to 9, and ticks."""

    async def send() -> None:
        async with probe(core) as found:
            blocks = [node.blocks[node.best[height]] for height in (5, 6, 9, 8, 7)]
            values = [orjson.dumps(features(orjson.dumps(block)) | {"isolated": False}) for block in blocks]
            alone = orjson.dumps(features(orjson.dumps(node.blocks[node.best[20]])))
            await found.send("block-features", [(b"BTC", value, 0, []) for value in [*values, alone, b"[]"]])
            await found.send("block-features", [(b"BTC", b"{}", 0, [("tick", b"1")])] * 300)
            await found.send("block-features", [(b"OTHER", alone, 0, [])])

    asyncio.run(send())


@pytest.mark.usefixtures("processed")
def test_where_blocks_are_no_longer_kept_features_tell(run: Cli, core: Settings) -> None:
    result = run("ingest", "core", "--to", "12")
    assert result.exit_code == 0, result.stderr
    assert "block-features knows BTC up to block 9: from block 10 on" in result.stderr
    assert read_heights(core) == [10, 11, 12]
    assert "the topic holds BTC up to block 12" in run("ingest", "core", "--to", "13").stderr


@pytest.mark.usefixtures("processed")
def test_a_chain_that_is_known_is_followed_without_a_gap(run: Cli, core: Settings) -> None:
    """From the tip on only where nothing of the chain was ever seen."""
    heard = Heard()

    async def follow() -> None:
        wanted = Wanted("BTC", follow=True, every_s=0.1)
        task = asyncio.create_task(feed_from_core(core, wanted, Beside(), heard))

        async def arrived() -> bool:
            return len(heard.heights) >= 20 or task.done()

        await until(arrived, "blocks 10 to 29", log=lambda: str(heard.heights))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(follow())
    assert heard.heights == list(range(10, 30))
    assert "block-features knows BTC up to block 9" in heard.said[0]


@pytest.mark.usefixtures("processed")
def test_an_export_resumes_by_features_too(run: Cli, core: Settings, tmp_path: Path) -> None:
    files = write_export(tmp_path, simulate(12, seed=1))
    result = run("ingest", "etl", *files)
    assert "block-features knows BTC up to block 9: from block 10 on" in result.stderr
    assert read_heights(core) == [10, 11]


async def test_headers_mean_here_what_they_mean_to_the_workers(settings: Settings) -> None:
    """Without `chain` a block is of BTC; `isolated: 0` is not isolated."""
    (value,) = simulate(1, seed=1, start_height=7)
    height = ("height", b"7")
    async with probe(settings) as found:
        await found.send("blocks", [(b"hash", value, 0, [height, ("isolated", b"0")])])
    assert (await resume_point(settings, "BTC")).known == {7: "hash"}


def test_an_export_of_bitcoin_etl(run: Cli, core: Settings, tmp_path: Path) -> None:
    blocks = [*REAL_BLOCKS, *simulate(3, seed=6, start_height=800_000)]
    files = write_export(tmp_path, blocks)
    result = run("ingest", "etl", *files)
    assert result.exit_code == 0, result.stderr
    assert "5 blocks sent" in result.stdout
    assert read_heights(core) == [features(value)["height"] for value in blocks]
    again = run("ingest", "etl", *files)
    assert again.exit_code == 0
    assert "the topic holds BTC up to block 800002: from block 800003 on" in again.stderr
    assert "nothing to send" in again.stderr
    assert "2 blocks sent" in run("ingest", "etl", *files, "--from", "800001").stdout


def test_blocks_before_a_bad_line_are_sent(run: Cli, core: Settings, tmp_path: Path) -> None:
    blocks, transactions = write_export(tmp_path, simulate(3, seed=6, start_height=800_000))
    lines = blocks.read_bytes().splitlines(keepends=True)
    blocks.write_bytes(b"".join([*lines[:2], b"[]\n"]))
    result = run("ingest", "etl", blocks, transactions)
    assert result.exit_code == 1
    assert "blocks.json line 3: block: Expected `object`" in result.stderr
    assert read_heights(core) == [800_000, 800_001]
    assert os.path.exists(transactions)
