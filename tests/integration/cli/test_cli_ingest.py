"""`sigstream ingest`: what is on `blocks` afterwards."""

import asyncio
import re
import shutil
from collections import Counter
from pathlib import Path
from random import Random

import orjson
import pytest

from app.chain.extract import extract
from app.config import Settings
from app.labels.watch import LabelSource
from app.model.keys import partition_of
from app.sources.economy import EconomyScenario, labels_csv
from app.sources.files import read_block_file
from app.sources.scenario import Scenario
from app.streaming.record import Record
from tests.support.cli import Cli
from tests.support.probe import probe

BLOCKS = Path(__file__).parents[2] / "fixtures" / "blocks"
HASH_757739 = b"00000000000000000002601c74946371bd1bf00ad3154f011c20abad1cabd0ea"


@pytest.fixture
def run(cli: Cli, settings: Settings) -> Cli:
    """The command line on the test's own pipeline."""
    cli.use(settings)
    return cli


def blocks(settings: Settings) -> list[Record]:
    """All records of `blocks`."""

    async def read() -> list[Record]:
        async with probe(settings) as found:
            return await found.read("blocks")

    return asyncio.run(read())


def test_blocks_of_files_come_with_their_bytes_and_headers(run: Cli, settings: Settings) -> None:
    result = run("ingest", "files", BLOCKS, "--isolated")
    assert result.exit_code == 0, result.stderr
    records = {record.key: record for record in blocks(settings)}
    assert len(records) == 2
    record = records[HASH_757739]
    headers = dict(record.headers)
    assert record.value == read_block_file(BLOCKS / "757739.json.zst")
    assert record.partition == partition_of(HASH_757739, settings.block_partitions)
    assert re.fullmatch(rb"[0-9a-f]{32}", headers.pop("correlation-id"))
    assert re.fullmatch(rb"\d{4}-\d\d-\d\dT[\d:.]+Z", headers.pop("produced-at"))
    assert headers == {
        "chain": b"BTC",
        "height": b"757739",
        "isolated": b"1",
        "previousblockhash": b"00000000000000000001c4ffa847267d4f7a6842421cba3f1ec195062ea1057e",
        "content-type": b"application/json",
    }
    for record in records.values():
        assert f"partition {record.partition}:" in result.stdout
    assert len({record.correlation_id for record in records.values()}) == 2


def test_a_bad_file_is_named_and_the_others_go(run: Cli, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "blocks"
    folder.mkdir()
    shutil.copy(BLOCKS / "150013.json.zst", folder)
    (folder / "151000.json").write_text("[]")
    (folder / "152000.json.zst").write_text("{}")
    result = run("ingest", "files", folder, tmp_path / "missing.json")
    assert result.exit_code == 1
    assert [record.headers["height"] for record in blocks(settings)] == [b"150013"]
    assert "1 blocks sent" in result.stdout
    for name in (
        "151000.json: block: Expected `object`",
        "152000.json.zst is not zstd",
        "missing.json can't be",
    ):
        assert name in result.stderr


def test_a_block_of_nearly_32_mb_fits(run: Cli, settings: Settings, tmp_path: Path) -> None:
    block = orjson.loads(read_block_file(BLOCKS / "150013.json.zst"))
    value = orjson.dumps(block | {"padding": Random(1).randbytes(15_900_000).hex()})
    assert 31_000_000 < len(value) < 32_000_000
    file = tmp_path / "large.json"
    file.write_bytes(value)
    result = run("ingest", "files", file)
    assert result.exit_code == 0, result.stderr
    assert [record.value == value for record in blocks(settings)] == [True]


def test_the_simulator_sends_the_same_blocks_for_the_same_seed(run: Cli, settings: Settings) -> None:
    for seed in ("1", "1", "2"):
        result = run("ingest", "simulate", "--blocks", "5", "--seed", seed)
        assert result.exit_code == 0, result.stderr
    records = blocks(settings)
    assert len(records) == 15
    assert len({record.key for record in records}) == 10
    assert len({record.correlation_id for record in records}) == 15
    assert {record.headers["chain"] for record in records} == {b"BTC-SIM"}
    assert not any("isolated" in record.headers for record in records)
    by_height = sorted(int(record.headers["height"]) for record in records)
    assert by_height == sorted([*range(by_height[0], by_height[0] + 5)] * 3)


def test_a_disturbed_delivery_has_every_block_and_repeats(run: Cli, settings: Settings) -> None:
    options = ("--reorgs", "2", "--depth", "2", "--gaps", "1", "--late", "2", "--doubles", "3")
    result = run("ingest", "simulate", "--blocks", "20", "--seed", "4", *options)
    assert result.exit_code == 0, result.stderr
    scenario = Scenario(4, 20, reorgs=2, max_depth=2, gaps=1, late=2, doubles=3)
    records = blocks(settings)
    assert Counter(record.value for record in records) == Counter(scenario.disturbed())
    assert {record.value for record in records} == set(scenario.main + scenario.orphans)


def test_a_scenario_without_room_is_refused(run: Cli, settings: Settings) -> None:
    result = run("ingest", "simulate", "--blocks", "5", "--reorgs", "2", "--depth", "2")
    assert result.exit_code != 0
    assert "ask for" in result.stderr
    assert blocks(settings) == []


def test_an_economy_comes_with_the_labels_that_tell_its_owners(
    run: Cli, settings: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "economy.csv"
    result = run("ingest", "simulate", "--economy", "--blocks", "6", "--seed", "4", "--labels-to", file)
    assert result.exit_code == 0, result.stderr
    scenario = EconomyScenario(4, 6)
    sent = {record.value: record.headers["chain"] for record in blocks(settings)}
    assert sent == dict.fromkeys(scenario.main, b"BTC-SIM")
    labels = LabelSource((file,)).current
    found = [extract(value, chain="BTC-SIM", isolated=False, labels=labels) for value in scenario.main]
    for features, truth in zip(found, scenario.main_truth, strict=True):
        gained = {flow.entity: flow.balance_change_sat for flow in features.entities}
        truly = {name: entity.balance_change_sat for name, entity in truth.entities.items()}
        assert {name: sat for name, sat in gained.items() if sat} == {n: s for n, s in truly.items() if s}


def test_labels_of_an_economy_are_written_before_there_is_a_kafka(cli: Cli, tmp_path: Path) -> None:
    """Workers that are told of a file want it to be there when they start."""
    result = cli("ingest", "simulate", "--economy", "--blocks", "0", "--labels-to", tmp_path / "labels.csv")
    assert (result.exit_code, result.stderr) == (0, "")
    assert (tmp_path / "labels.csv").read_text() == labels_csv()


def test_an_economy_may_be_disturbed(run: Cli, settings: Settings) -> None:
    options = ("--economy", "--blocks", "20", "--reorgs", "2", "--depth", "2", "--doubles", "3")
    result = run("ingest", "simulate", *options)
    assert result.exit_code == 0, result.stderr
    scenario = EconomyScenario(1, 20, reorgs=2, max_depth=2, doubles=3)
    assert Counter(record.value for record in blocks(settings)) == Counter(scenario.disturbed())


def test_another_chain_is_named_in_the_header(run: Cli, settings: Settings) -> None:
    assert run("ingest", "simulate", "--blocks", "1", "--chain", "TEST-CHAIN").exit_code == 0
    assert [record.headers["chain"] for record in blocks(settings)] == [b"TEST-CHAIN"]
