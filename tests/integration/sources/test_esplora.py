"""An Esplora server: the same blocks as from Bitcoin Core, but for the age of coins."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise

import pytest

from app.config import Settings
from app.errors import NodeRefused, Terminal, Transient
from app.sources.esplora import Esplora
from app.sources.feed import Feed
from app.sources.ingest import BlockProducer
from app.sources.outlet import Outlet
from app.sources.pace import Pace
from app.sources.session import Wanted, run_session
from app.sources.simulator import simulate
from app.sources.trim import record_of
from tests.support.cli import Cli
from tests.support.esplora_double import EsploraDouble
from tests.support.heard import Heard
from tests.support.probe import probe, until
from tests.support.real_blocks import OF_AGES, REAL_BLOCKS, features

BLOCKS = [*REAL_BLOCKS, *simulate(3, seed=8, start_height=900_000)]


@pytest.fixture
def server() -> Iterator[EsploraDouble]:
    """With real and simulated blocks."""
    with EsploraDouble(BLOCKS) as double:
        yield double


@pytest.fixture
async def esplora(server: EsploraDouble) -> AsyncIterator[Esplora]:
    """A client of it."""
    config = Settings(_env_file=None, source_retry_s=20.0)
    async with Esplora(config, server.url, Pace(None)) as client:
        yield client


async def test_blocks_have_the_same_features(esplora: Esplora, server: EsploraDouble) -> None:
    for value in BLOCKS:
        expected = features(value)
        found = features(record_of(await esplora.block(expected["hash"]), "BTC").value)
        different = {name for name in expected | found if expected.get(name) != found.get(name)}
        assert different <= OF_AGES
        assert found["age_completeness"] == 0
        for name in ("total_fee_sat", "weight", "size", "tx_count", "transfer_sat", "feerate_percentiles"):
            assert found[name] == expected[name]
    assert len(server.times(f"/block/{features(BLOCKS[1])['hash']}/txs/50")) == 1


async def test_headers_and_hashes(esplora: Esplora, server: EsploraDouble) -> None:
    hashes = await esplora.hashes(900_000, 900_002)
    assert hashes == [server.best[height] for height in range(900_000, 900_003)]
    headers = [await esplora.header(each) for each in hashes]
    assert all(after.previousblockhash == before.hash for before, after in pairwise(headers))
    assert (await esplora.tip()).hash == hashes[-1]


async def test_a_limit_is_waited_out(esplora: Esplora, server: EsploraDouble) -> None:
    server.limited = 2
    assert (await esplora.tip()).height == 900_002
    assert len(server.times("/blocks/tip/height")) == 3


async def test_a_limit_that_stays_is_told(server: EsploraDouble) -> None:
    server.limited = 10_000
    async with Esplora(Settings(_env_file=None, source_retry_s=0.5), server.url, Pace(None)) as client:
        with pytest.raises(Transient, match=r"limits requests .*lower --rate"):
            await client.tip()


async def test_what_is_not_there_is_told(esplora: Esplora) -> None:
    with pytest.raises(NodeRefused, match=r"has no /block-height/5 .*Block not found.*check --url"):
        await esplora.hashes(5, 5)
    with pytest.raises(Terminal, match="the best chain ends at 900002"):
        await esplora.check(900_000, 900_010)


async def test_nobody_there_is_told() -> None:
    config = Settings(_env_file=None, source_retry_s=0.3)
    async with Esplora(config, "http://127.0.0.1:1/", Pace(None)) as client:
        with pytest.raises(Transient, match=r"no Esplora server answers at http://127.0.0.1:1 .*--url"):
            await client.tip()


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><title>Explorer</title>", b"", b"\xff\xfe", b"9" * 30])
async def test_an_address_without_api_is_told(esplora: Esplora, server: EsploraDouble, page: bytes) -> None:
    server.page = page
    with pytest.raises(Terminal, match=r"no block height: check --url, its path ends with /api"):
        await esplora.tip()
    with pytest.raises(Terminal, match=r"no block hash: check --url, its path ends with /api"):
        await esplora.hashes(900_000, 900_000)


async def test_a_page_instead_of_a_hash_is_told(esplora: Esplora, server: EsploraDouble) -> None:
    server.best[900_002] = "<!DOCTYPE html>"
    with pytest.raises(Terminal, match=r"/block-height/900002 .*<!DOCTYPE html>.*no block hash"):
        await esplora.tip()


async def test_requests_keep_to_the_rate(server: EsploraDouble) -> None:
    async with Esplora(Settings(_env_file=None), server.url, Pace(40)) as client:
        await client.block(server.best[150_013])
        await client.hashes(900_000, 900_002)
    asked = sorted(when for when, _ in server.asked)
    assert len(asked) == 6
    assert asked[-1] - asked[0] >= 5 / 40 - 0.02


async def test_a_feed_sends_them(esplora: Esplora, settings: Settings) -> None:
    async with BlockProducer(settings) as producer:
        feed = Feed(esplora, Outlet(producer, "BTC"), {}, in_flight=2)
        await feed.advance(900_000, 900_002)
    async with probe(settings) as found:
        records = await found.read("blocks")
    assert sorted(int(record.headers["height"]) for record in records) == [900_000, 900_001, 900_002]


async def test_following_sends_new_blocks_and_the_branch_that_wins(
    settings: Settings, server: EsploraDouble, heard: Heard
) -> None:
    wanted = Wanted("BTC", first=900_001, follow=True, every_s=0.05)
    async with Esplora(settings, server.url, Pace(None)) as client:
        task = asyncio.create_task(run_session(settings, client, wanted, heard))
        try:
            await arrived(heard, [900_001, 900_002])
            server.extend(simulate(1, seed=8, start_height=900_003))
            await arrived(heard, [900_001, 900_002, 900_003])
            server.extend(simulate(3, seed=8, start_height=900_002, fork=1))
            await arrived(heard, [900_001, 900_002, 900_003, 900_002, 900_003, 900_004])
        finally:
            ended = task.done()
            task.cancel()
            done = (await asyncio.gather(task, return_exceptions=True))[0]
    assert not ended, done
    async with probe(settings) as found:
        records = sorted(await found.read("blocks"), key=lambda record: record.timestamp_ms)
    latest = {int(record.headers["height"]): (record.key or b"").decode() for record in records}
    assert latest == {height: server.best[height] for height in range(900_001, 900_005)}


async def arrived(heard: Heard, expected: list[int]) -> None:
    """Until blocks of these heights were sent, in this order."""

    async def there() -> bool:
        return len(heard.heights) >= len(expected)

    await until(there, f"{expected}", log=lambda: f"{heard.heights} {heard.said}")
    assert heard.heights == expected


def test_the_command_goes_on_behind_what_is_there(
    cli: Cli, settings: Settings, server: EsploraDouble
) -> None:
    cli.use(settings)
    first = cli("ingest", "esplora", "--url", server.url, "--from", "900000", "--to", "900001")
    assert "2 blocks sent" in first.stdout, first.stderr
    second = cli("ingest", "esplora", "--url", server.url, "--rate", "1000")
    assert "the topic holds BTC up to block 900001: from block 900002 on" in second.stderr
    assert "1 blocks sent" in second.stdout
    assert "heights 900002 to 900002" in second.stdout
