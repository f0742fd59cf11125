"""A Bitcoin Core node by JSON-RPC: what is read, what is tried again, what errors say."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from app.config import Settings
from app.errors import ConfigurationError, NodeRefused, SigstreamError, Terminal, Transient
from app.sources.core_node import CoreNode
from app.sources.core_rpc import CoreRpc
from app.sources.mempool import take_snapshot
from app.sources.simulator import simulate
from app.sources.trim import record_of
from tests.support.core_double import PASSWORD, CoreDouble
from tests.support.real_blocks import REAL_BLOCKS, features


def settings_of(node: CoreDouble, **update: Any) -> Settings:
    """Without Kafka, and with little patience."""
    own = Settings(_env_file=None, namespace="none")
    return node.settings(own).model_copy(update={"source_retry_s": 0.5, **update})


@pytest.fixture
async def core(node: CoreDouble) -> AsyncIterator[CoreNode]:
    """A client of the node."""
    async with CoreRpc(settings_of(node)) as rpc:
        yield CoreNode(rpc)


async def test_real_blocks_come_as_they_are_in_the_node() -> None:
    with CoreDouble(REAL_BLOCKS) as node:
        async with CoreRpc(settings_of(node)) as rpc:
            core = CoreNode(rpc)
            for height, value in zip((150013, 757739), REAL_BLOCKS, strict=True):
                (block_hash,) = await core.hashes(height, height)
                assert features(record_of(await core.block(block_hash), "BTC").value) == features(value)


async def test_hashes_come_in_one_batch_in_order(core: CoreNode, node: CoreDouble) -> None:
    node.extend(simulate(400, seed=1, start_height=30))
    found = await core.hashes(5, 429)
    assert found == [node.best[height] for height in range(5, 430)]
    assert len(node.times("batch getblockhash")) == 1


async def test_a_header_tells_the_parent(core: CoreNode, node: CoreDouble) -> None:
    header = await core.header(node.best[7])
    assert (header.height, header.hash, header.previousblockhash) == (7, node.best[7], node.best[6])


async def test_a_stale_block_may_lack_prevouts(core: CoreNode, node: CoreDouble) -> None:
    stale = node.best[29]
    node.extend(simulate(1, seed=1, start_height=29, fork=1))
    node.knows_prevouts = False
    assert (await core.block(stale)).height == 29
    with pytest.raises(Terminal):
        await core.block(node.best[29])


async def test_a_full_work_queue_is_waited_for(node: CoreDouble) -> None:
    node.busy = 2
    async with CoreRpc(settings_of(node, source_retry_s=20.0)) as rpc:
        assert (await CoreNode(rpc).tip()).height == 29
    assert len(node.times("503")) == 2


async def test_a_node_that_warms_up_is_waited_for(node: CoreDouble) -> None:
    node.warming_up = 2
    async with CoreRpc(settings_of(node, source_retry_s=20.0)) as rpc:
        assert await CoreNode(rpc).hashes(3, 3) == [node.best[3]]


async def test_the_cookie_is_read_anew_after_a_restart(node: CoreDouble, tmp_path: Path) -> None:
    cookie = node.write_cookie(tmp_path / ".cookie")
    async with CoreRpc(settings_of(node, core_user=None, core_cookie_file=cookie)) as rpc:
        assert (await CoreNode(rpc).tip()).height == 29
        node.password = "made-at-the-next-start"
        node.write_cookie(cookie)
        assert (await CoreNode(rpc).tip()).height == 29


ERRORS = [
    ({"pruned_below": 10}, 3, "keeps blocks from height 10 on and has not got block 3: ask from 10 on"),
    ({"syncing": True}, None, r"still syncing .*block 29 of 1029, asked for the tip: wait .*--to 29"),
    ({"warming_up": 99}, 3, r"warming up \(Loading block index…\): wait"),
    ({"busy": 99}, 3, r"is busy \(Work queue depth exceeded\): lower SIGSTREAM_CORE_IN_FLIGHT"),
    ({"password": "another"}, 3, r"refuses the login by SIGSTREAM_CORE_USER and SIGSTREAM_CORE_PASSWORD"),
    ({}, 31, "block 31 is not there, the best chain ends at 29: say --to 29, or --follow"),
]


@pytest.mark.parametrize(("state", "last", "says"), ERRORS)
async def test_what_can_not_work_is_refused_at_once(
    node: CoreDouble, core: CoreNode, state: dict[str, Any], last: int | None, says: str
) -> None:
    for name, value in state.items():
        setattr(node, name, value)
    with pytest.raises(SigstreamError, match=says) as caught:
        await core.check(3, last)
    assert PASSWORD not in str(caught.value)


async def test_a_syncing_node_gives_what_it_has(node: CoreDouble, core: CoreNode) -> None:
    node.syncing = True
    await core.check(3, 29)


async def test_a_block_pruned_meanwhile_is_told_by_the_state_of_the_node(
    node: CoreDouble, core: CoreNode
) -> None:
    await core.check(3, 29)
    node.pruned_below = 10
    with pytest.raises(Terminal, match="keeps blocks from height 10 on and has not got block 3"):
        await core.block(node.best[3])


async def test_a_node_before_verbosity_3_is_told(node: CoreDouble, core: CoreNode) -> None:
    node.knows_prevouts = False
    with pytest.raises(Terminal, match=r"block 3 comes without `prevout`.*Bitcoin Core 24 or later: update"):
        await core.block(node.best[3])


async def test_an_unknown_block_is_told_with_its_code(core: CoreNode) -> None:
    with pytest.raises(NodeRefused, match=r"refuses getblock: Block not found \(code -5\)") as caught:
        await core.block("00" * 32)
    assert caught.value.code == -5


async def test_an_unknown_method_is_told(core: CoreNode) -> None:
    with pytest.raises(NodeRefused, match="does not know getnothing"):
        await core.rpc.call("getnothing", result=str)


async def test_nobody_there_is_told(node: CoreDouble) -> None:
    async with CoreRpc(settings_of(node, core_url="http://127.0.0.1:1")) as rpc:
        with pytest.raises(Transient, match=r"no Bitcoin Core answers at http://127.0.0.1:1 .*server=1"):
            await CoreNode(rpc).tip()


async def test_something_else_is_told(node: CoreDouble) -> None:
    async with CoreRpc(settings_of(node)) as rpc:
        with pytest.raises(Terminal, match=r"answers getblockhash not as Bitcoin Core does .*check"):
            await rpc.call("getblockhash", 3, result=int)


async def test_a_missing_cookie_is_told(node: CoreDouble, tmp_path: Path) -> None:
    config = settings_of(node, core_user=None, core_cookie_file=tmp_path / ".cookie")
    async with CoreRpc(config) as rpc:
        with pytest.raises(Transient, match=r"no cookie file .*\.cookie: start bitcoind, or set SIGSTREAM_"):
            await CoreNode(rpc).tip()


async def test_a_refused_cookie_is_told(node: CoreDouble, tmp_path: Path) -> None:
    cookie = node.write_cookie(tmp_path / ".cookie")
    node.password = "made-at-the-next-start"
    async with CoreRpc(settings_of(node, core_user=None, core_cookie_file=cookie)) as rpc:
        with pytest.raises(Terminal, match=r"refuses the login by the cookie of .*COOKIE_FILE") as caught:
            await CoreNode(rpc).tip()
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"http://alice:{PASSWORD}@127.0.0.1:8332", "holds a user or a password"),
        ("127.0.0.1:8332", "write http://host:port"),
        ("http://127.0.0.1:port", "is no address"),
    ],
)
def test_a_wrong_address_is_told_without_its_password(node: CoreDouble, url: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        CoreRpc(settings_of(node, core_url=url))
    assert PASSWORD not in str(caught.value)


def test_the_password_is_in_no_representation(node: CoreDouble) -> None:
    config = settings_of(node)
    assert PASSWORD not in repr(config)
    assert PASSWORD not in str(config.model_dump())
    assert config.core_password.get_secret_value() == PASSWORD


def entry(vsize: int, fee: float) -> dict[str, Any]:
    """Of a mempool, as Bitcoin Core writes it."""
    fees = {"base": fee, "modified": fee, "ancestor": fee, "descendant": fee}
    return {"vsize": vsize, "weight": vsize * 4, "time": 1_700_000_000, "fees": fees, "depends": []}


async def test_a_mempool_snapshot(node: CoreDouble, core: CoreNode) -> None:
    node.mempool = {"aa": entry(141, 0.00000282), "bb": entry(250, 0.00005), "cc": entry(100, 0.000002)}
    node.estimates = {1: {"feerate": 0.00020001, "blocks": 2}, 6: {"feerate": 0.00003, "blocks": 6}}
    found = await take_snapshot(core.rpc, "BTC")
    assert msgspec.to_builtins(found) == {
        "chain": "BTC",
        "time": orjson.loads(msgspec.json.encode(found))["time"],
        "tx_count": 3,
        "vsize": 491,
        "total_fee_sat": 5482,
        "min_fee": 1.0,
        "histogram": [[2.0, 241, 482], [20.0, 250, 5000]],
        "estimates": {"1": 20.001, "6": 3.0},
    }


async def test_a_mempool_that_is_being_loaded_gives_no_snapshot(node: CoreDouble, core: CoreNode) -> None:
    node.mempool_loaded = False
    with pytest.raises(Transient, match="still loads its mempool"):
        await take_snapshot(core.rpc, "BTC")
