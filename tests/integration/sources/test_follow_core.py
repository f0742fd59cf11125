"""Following a node: new blocks, reorganisations, ZMQ that may be lost, requests for missing blocks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import orjson
import pytest

from app.config import Settings
from app.model.mempool import MEMPOOL_DECODER
from app.sources.core import Beside, feed_from_core
from app.sources.session import Wanted
from app.sources.simulator import simulate
from tests.support.core_double import CoreDouble, ZmqPublisher
from tests.support.heard import Heard
from tests.support.probe import Probe, probe, until

NEVER_S = 3600.0
NOTHING = Beside()
SOON_S = 0.1


@pytest.fixture
async def found(settings: Settings) -> AsyncIterator[Probe]:
    """A look into the topics."""
    async with probe(settings) as opened:
        yield opened


@asynccontextmanager
async def following(
    settings: Settings, heard: Heard, beside: Beside = NOTHING, *, first: int | None = None, every_s: float
) -> AsyncIterator["asyncio.Task[None]"]:
    """Until the block ends; a failure of it is the test's."""
    wanted = Wanted("BTC", first=first, follow=True, every_s=every_s)
    task = asyncio.create_task(feed_from_core(settings, wanted, beside, heard))
    try:
        yield task
    finally:
        failed = task.done()
        task.cancel()
        done = (await asyncio.gather(task, return_exceptions=True))[0]
        assert not failed, done


async def heights(heard: Heard, expected: list[int]) -> None:
    """Until these have arrived, in this order."""

    async def there() -> bool:
        return len(heard.heights) >= len(expected)

    await until(there, f"{expected}", log=lambda: f"{heard.heights} {heard.said}")
    assert heard.heights == expected


async def latest(found: Probe) -> dict[int, str]:
    """Height -> hash of the record that came last."""
    records = sorted(await found.read("blocks"), key=lambda record: record.timestamp_ms)
    return {int(record.headers["height"]): (record.key or b"").decode() for record in records}


async def test_new_blocks_come_as_the_node_has_them(core: Settings, node: CoreDouble, heard: Heard) -> None:
    async with following(core, heard, first=27, every_s=SOON_S):
        await heights(heard, [27, 28, 29])
        node.extend(simulate(2, seed=1, start_height=30))
        await heights(heard, [27, 28, 29, 30, 31])


async def test_an_empty_topic_begins_at_the_tip(core: Settings, heard: Heard) -> None:
    async with following(core, heard, every_s=SOON_S):
        await heights(heard, [29])
    assert heard.said == ["the topic holds no block of BTC: from the tip, block 29, on"]


async def test_it_waits_for_a_first_height_above_the_tip(
    core: Settings, node: CoreDouble, heard: Heard
) -> None:
    async with following(core, heard, first=31, every_s=SOON_S):

        async def asked_often() -> bool:
            return len(node.times("getblockchaininfo")) > 5

        await until(asked_often, "looks at the tip")
        assert heard.heights == []
        node.extend(simulate(2, seed=1, start_height=30))
        await heights(heard, [31])


async def test_a_reorganisation_of_three_blocks_is_sent_from_the_fork_point_on(
    core: Settings, node: CoreDouble, heard: Heard, found: Probe
) -> None:
    async with following(core, heard, first=20, every_s=SOON_S):
        await heights(heard, list(range(20, 30)))
        node.extend(simulate(4, seed=1, start_height=27, fork=1))
        await heights(heard, [*range(20, 30), 27, 28, 29, 30])
        node.extend(_fork(31, 1))
        await heights(heard, [*range(20, 30), 27, 28, 29, 30, 31])
    assert await latest(found) == {height: node.best[height] for height in range(20, 32)}
    assert len(await found.read("blocks")) == 15


def _fork(height: int, fork: int) -> list[bytes]:
    """The block of a fork that began below."""
    return list(simulate(height - 26, seed=1, start_height=27, fork=fork))[-1:]


async def test_a_branch_of_the_same_length_or_less_is_sent_too(
    core: Settings, node: CoreDouble, heard: Heard, found: Probe
) -> None:
    async with following(core, heard, first=25, every_s=SOON_S):
        await heights(heard, [25, 26, 27, 28, 29])
        with node.lock:
            node.extend(simulate(2, seed=1, start_height=27, fork=1))  # as after `invalidateblock`
        await heights(heard, [25, 26, 27, 28, 29, 27, 28])
        node.extend(simulate(3, seed=1, start_height=27, fork=1))
        await heights(heard, [25, 26, 27, 28, 29, 27, 28, 29])
    assert await latest(found) == {height: node.best[height] for height in range(25, 30)}


async def test_a_reorganisation_while_it_was_down_is_found(
    core: Settings, node: CoreDouble, heard: Heard, found: Probe
) -> None:
    async with following(core, heard, first=10, every_s=SOON_S):
        await heights(heard, list(range(10, 30)))
    node.extend(simulate(5, seed=1, start_height=27, fork=1))
    again = Heard()
    async with following(core, again, every_s=SOON_S):
        await heights(again, [27, 28, 29, 30, 31])
    assert again.said == ["the topic holds BTC up to block 29: from block 30 on"]
    assert await latest(found) == {height: node.best[height] for height in range(10, 32)}


async def test_a_zmq_message_is_enough_to_look(
    core: Settings, node: CoreDouble, heard: Heard, publisher: ZmqPublisher
) -> None:
    async with following(core, heard, Beside(zmq=publisher.endpoint), first=29, every_s=NEVER_S):
        await heights(heard, [29])
        assert await asyncio.to_thread(publisher.wait_for_subscriber) == b"hashblock"
        node.extend(simulate(1, seed=1, start_height=30))
        publisher.publish(node.best[30])
        await heights(heard, [29, 30])


async def test_lost_zmq_messages_cost_nothing_but_time(
    core: Settings, node: CoreDouble, heard: Heard, publisher: ZmqPublisher
) -> None:
    async with following(core, heard, Beside(zmq=publisher.endpoint), first=29, every_s=1.0):
        await asyncio.to_thread(publisher.wait_for_subscriber)
        await heights(heard, [29])
        node.extend(simulate(3, seed=1, start_height=30))  # and nothing is published
        await heights(heard, [29, 30, 31, 32])


async def test_one_message_of_many_brings_all_blocks(
    core: Settings, node: CoreDouble, heard: Heard, publisher: ZmqPublisher
) -> None:
    async with following(core, heard, Beside(zmq=publisher.endpoint), first=29, every_s=NEVER_S):
        await heights(heard, [29])
        await asyncio.to_thread(publisher.wait_for_subscriber)
        node.extend(simulate(3, seed=1, start_height=30))
        publisher.publish("ff" * 32)  # what it says is not believed
        await heights(heard, [29, 30, 31, 32])


async def test_a_node_that_goes_away_is_waited_for(core: Settings, node: CoreDouble, heard: Heard) -> None:
    patient = core.model_copy(update={"source_retry_s": 0.2})
    async with following(patient, heard, first=29, every_s=SOON_S):
        await heights(heard, [29])
        node.busy = 12
        node.extend(simulate(1, seed=1, start_height=30))
        await heights(heard, [29, 30])
    assert node.busy == 0


async def test_a_requested_range_is_answered(
    core: Settings, node: CoreDouble, heard: Heard, found: Probe
) -> None:
    async with following(core, heard, first=29, every_s=SOON_S):
        await heights(heard, [29])
        await asked(found, heard, b'{"chain": "BTC", "first": 4, "last": 6, "hash": null}', [4, 5, 6])
    assert (await latest(found))[5] == node.best[5]


async def test_a_requested_branch_is_answered_by_its_hash(
    core: Settings, node: CoreDouble, heard: Heard, found: Probe
) -> None:
    async with following(core, heard, first=29, every_s=SOON_S):
        await heights(heard, [29])
        with node.lock:
            trunk = list(simulate(3, seed=1, start_height=27))
            node.extend(simulate(3, seed=1, start_height=27, fork=1))
            stale = node.best[29]
            node.extend(trunk)
        request = {"chain": "BTC", "first": 27, "last": 29, "hash": stale}
        await asked(found, heard, orjson.dumps(request), [27, 28, 29])
        keys = {(record.key or b"").decode() for record in await found.read("blocks")}
        assert stale in keys
        node.extend(simulate(1, seed=1, start_height=30))
        await until(_is_last(heard, 30), "the next block of the best chain")


async def asked(found: Probe, heard: Heard, request: bytes, expected: list[int]) -> None:
    """The request is answered; others, and what is none, change nothing."""
    noise = (b'{"chain": "OTHER", "first": 1, "last": 2}', b"nonsense", b'{"chain":"BTC","first":9,"last":1}')
    absent = b'{"chain": "BTC", "first": 500, "last": 501}'

    before = list(heard.heights)
    await found.send("block-requests", [(b"BTC", value, 0, []) for value in (*noise, absent, request)])
    await heights(heard, [*before, *expected])


def _is_last(heard: Heard, height: int) -> Callable[[], "asyncio.Future[bool]"]:
    async def there() -> bool:
        return heard.heights[-1] == height

    return lambda: asyncio.ensure_future(there())


async def test_mempool_snapshots_come_by_the_clock(
    core: Settings, node: CoreDouble, heard: Heard, found: Probe
) -> None:
    fees = {"base": 0.00000282, "modified": 0.00000282}
    node.mempool = {"aa": {"vsize": 141, "fees": fees}}
    node.estimates = {3: {"feerate": 0.00002, "blocks": 3}}

    async def two() -> bool:
        return await found.count("mempool") >= 2

    async with following(core, heard, Beside(mempool_every_s=0.2), first=29, every_s=NEVER_S):
        await until(two, "two snapshots")
    record = (await found.read("mempool"))[0]
    snapshot = MEMPOOL_DECODER.decode(record.value or b"")
    assert (record.key, record.headers["chain"]) == (b"BTC", b"BTC")
    assert (snapshot.chain, snapshot.tx_count, snapshot.estimates) == ("BTC", 1, {"3": 2.0})
    assert [(each.feerate_low, each.vsize, each.fee_sat) for each in snapshot.histogram] == [(2.0, 141, 282)]
