"""`sigstream backtest` over a Parquet file, block files, and topics of a real Kafka."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from app.chain.extract import extract
from app.config import Settings
from app.model.features import BlockFeatures
from app.sources.ingest import in_memory, ingest
from app.sources.simulator import CHAIN, simulate
from app.streaming.topics import ensure_topics, pipeline_topics
from tests.support.cli import Cli
from tests.support.fee_market import market
from tests.support.stats_file import columns_of, write_stats

KEYS = ["n", "mae", "mae_last_block", "skill", "coverage_p25_p75"]
BLOCKS = market(260, level=20.0)


@pytest.fixture
def stats(tmp_path: Path) -> Path:
    return write_stats(tmp_path / "stats.parquet", columns_of(BLOCKS))


def fails(cli: Cli, *arguments: str | Path) -> str:
    result = cli("backtest", *arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    return result.stderr


def test_json_is_one_object_and_the_same_on_every_run(cli: Cli, stats: Path) -> None:
    arguments = ("backtest", "--stats", stats, "--processor", "predictive", "--json")
    first = cli(*arguments)
    found = msgspec.json.decode(first.stdout)
    assert list(found) == KEYS
    assert found["n"] == 60
    assert found["skill"] == pytest.approx(1 - found["mae"] / found["mae_last_block"])
    assert 0.0 < found["skill"] < 1.0
    assert 0.2 < found["coverage_p25_p75"] < 0.8
    assert cli(*arguments).stdout == first.stdout


def test_mae_of_the_last_block_is_that_of_the_file(cli: Cli, stats: Path) -> None:
    found = cli.json("backtest", "--stats", stats, "--warm-up", "100")
    medians = [int(block.feerate_percentiles[2]) for block in BLOCKS]
    errors = [abs(b - a) for a, b in pairwise(medians[99:])]
    assert isinstance(found, dict)
    assert (found["n"], found["mae_last_block"]) == (160, pytest.approx(sum(errors) / 160))


def test_a_range_of_heights(cli: Cli, stats: Path) -> None:
    heights = ("--from", "900010", "--to", "900109")
    found = cli.json("backtest", "--stats", stats, *heights, "--warm-up", "40")
    assert isinstance(found, dict)
    assert found["n"] == 60


def test_parameters_change_the_forecasts(cli: Cli, stats: Path) -> None:
    usual = cli.json("backtest", "--stats", stats)
    params = ("--param", "learning_rate=0.2", "--param", "half_lives=[3, 30]")
    other = cli.json("backtest", "--stats", stats, *params)
    assert usual != other
    cli.environment["SIGSTREAM_PROCESSOR_PARAMS"] = (
        '{"predictive": {"learning_rate": 0.2, "half_lives": [3, 30]}}'
    )
    assert cli.json("backtest", "--stats", stats) == other


def test_a_table_a_chart_and_a_picture(cli: Cli, stats: Path, tmp_path: Path) -> None:
    result = cli("backtest", "--stats", stats, "--plot", tmp_path / "out.png")
    assert result.exit_code == 0, result.stderr
    for text in ("feerate_p50", "block_p75", "volatility", "skill", "60 blocks, 900200 to 900259"):
        assert text in result.stdout
    assert "The last 60 blocks" in result.stdout
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_errors_say_what_to_do(cli: Cli, stats: Path, tmp_path: Path) -> None:
    assert "can't be read" in fails(cli, "--stats", tmp_path / "none.parquet")
    assert "one of --stats FILE, --source" in fails(cli)
    assert "one of --stats FILE, --source" in fails(cli, "--stats", stats, "--topic", "blocks")
    assert "there are blocks, block-features" in fails(cli, "--topic", "signals")
    assert "no processor 'oracle' is installed" in fails(cli, "--stats", stats, "--processor", "oracle")
    assert "'whale' forecasts no fee rate" in fails(cli, "--stats", stats, "--processor", "whale")
    assert "write name=value" in fails(cli, "--stats", stats, "--param", "learning_rate")
    assert "learning_rate is 'fast'" in fails(cli, "--stats", stats, "--param", "learning_rate=fast")
    assert "260 blocks are there and the first 300 warm up" in fails(
        cli, "--stats", stats, "--warm-up", "300"
    )
    assert "name a .png file" in fails(cli, "--stats", stats, "--plot", tmp_path / "x.pdf")
    few = {name: values for name, values in columns_of(BLOCKS).items() if name not in ("txs", "time")}
    assert "has no column time, txs" in fails(cli, "--stats", write_stats(tmp_path / "few.parquet", few))


def simulated() -> list[bytes]:
    return list(simulate(30, seed=3))


def test_blocks_in_files(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "blocks"
    folder.mkdir()
    for number, value in enumerate(simulated()):
        (folder / f"{number}.json").write_bytes(value)
    found = cli.json("backtest", "--source", folder, "--warm-up", "10", "--chain", CHAIN)
    assert isinstance(found, dict)
    assert found["n"] == 20
    for file in list(folder.glob("1?.json")):
        file.unlink()
    assert "20 blocks are there and the first 25" in fails(
        cli, "--source", folder, "--warm-up", "25", "--chain", CHAIN
    )
    (folder / "5.json").write_bytes(b'{"hash": 3}')
    assert "5.json: block:" in fails(cli, "--source", folder)
    (tmp_path / "empty").mkdir()
    assert "has no .json or .json.zst file" in fails(cli, "--source", tmp_path / "empty")


async def send_features(settings: Settings, blocks: Sequence[BlockFeatures]) -> None:
    await ensure_topics(settings, pipeline_topics(settings))
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka) as producer:
        for block in blocks:
            value = msgspec.json.encode(block)
            await producer.send_and_wait(settings.topic("block-features"), value, key=block.chain.encode())


async def send_blocks(settings: Settings, blocks: Sequence[bytes]) -> None:
    report = await ingest(settings, in_memory(blocks), CHAIN)
    assert report.failed == {}


def test_topics_give_what_files_give(cli: Cli, settings: Settings, tmp_path: Path) -> None:
    blocks = simulated()
    features = [extract(value, chain=CHAIN, isolated=False) for value in blocks]
    orphan = msgspec.structs.replace(features[20], hash="f" * 64, feerate_percentiles=[99.0] * 5)
    alone = msgspec.structs.replace(features[25], hash="e" * 64, isolated=True)
    another = msgspec.structs.replace(features[25], chain="BTC", hash="d" * 64)
    sent = [*features[:20], orphan, *features[20:], alone, another, features[3]]
    asyncio.run(send_features(settings, sent))
    asyncio.run(send_blocks(settings, blocks))
    for number, value in enumerate(blocks):
        (tmp_path / f"{number}.json").write_bytes(value)
    cli.use(settings)
    common = ("--chain", CHAIN, "--warm-up", "5", "--to", str(features[27].height))
    expected = cli.json("backtest", "--source", tmp_path, *common)
    assert isinstance(expected, dict)
    assert expected["n"] == 23
    for topic in ("block-features", "blocks"):
        assert cli.json("backtest", "--topic", topic, *common) == expected


def test_without_a_topic_or_kafka(cli: Cli, settings: Settings) -> None:
    cli.use(settings)
    assert f"there is no topic {settings.namespace}.blocks" in fails(cli, "--topic", "blocks")
    cli.use(settings.model_copy(update={"kafka": "127.0.0.1:1"}))
    assert "Kafka at 127.0.0.1:1 does not answer" in fails(cli, "--topic", "block-features")
