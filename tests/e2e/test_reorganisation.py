"""A chain that changes its mind: what is stored follows it, in every store."""

import msgspec

from app.model.keys import block_ts
from app.sources.simulator import simulate
from tests.support.blocks import record_of
from tests.support.pipeline import View

PROVIDER = "sigstream"


def ts_of(value: bytes) -> str:
    header = msgspec.json.decode(value)
    return block_ts(header["time"], header["height"])


async def send(pipe: View, chain: str, blocks: list[bytes]) -> None:
    for value in blocks:
        record = record_of(value, chain)
        await pipe.send("blocks", value, record.hash.encode(), headers=record.headers(f"id of {record.hash}"))


async def until_shown(pipe: View, chain: str, blocks: list[bytes]) -> None:
    """Every store shows signals of these blocks of the chain, and of no other."""
    wanted = sorted(map(ts_of, blocks))

    async def everywhere() -> bool:
        for store in pipe.stores.values():
            latest = await store.latest(PROVIDER)
            shown = {
                ts for (_, symbol, ts, _), row in latest.items() if symbol == chain and not row.retracted
            }
            if sorted(shown) != wanted:
                return False
        return True

    await pipe.until(everywhere, f"{len(blocks)} blocks of {chain} in every store")


async def test_orphans_are_retracted_kept_and_come_back(pipe: View) -> None:
    chain = "BTC-FORK"
    main = list(simulate(9, seed=21))
    other = list(simulate(3, seed=21, start_height=5, fork=1))  # heights 5, 6, 7
    await send(pipe, chain, main[:7])
    await until_shown(pipe, chain, main[:7])
    await send(pipe, chain, other)
    await until_shown(pipe, chain, [*main[:5], *other])
    gone = {ts_of(value) for value in main[5:7]}
    for sink, store in pipe.stores.items():
        kept = {ts for (_, symbol, ts, _), _ in await store.versions(PROVIDER) if symbol == chain}
        assert gone <= kept, sink
    await send(pipe, chain, main[7:])
    await until_shown(pipe, chain, main)
    await pipe.at_rest()


async def test_a_height_that_can_not_be_is_a_dead_letter_and_the_chain_goes_on(pipe: View) -> None:
    chain = "BTC-JUMP"
    blocks = list(simulate(4, seed=22))
    await send(pipe, chain, blocks[:3])
    await until_shown(pipe, chain, blocks[:3])
    (far,) = simulate(1, seed=22, start_height=4_000_000)
    impossible = msgspec.json.encode({**msgspec.json.decode(blocks[3]), "height": 10_000_003})
    await send(pipe, chain, [far, impossible, blocks[3]])
    await until_shown(pipe, chain, blocks)
    letters = {letter.key: letter.headers["reason"] for letter in await pipe.seen.of("dead-letters")}
    assert b"above the chain's tip" in letters[chain.encode()]
    assert b"the coinbase claims" in letters[record_of(impossible, chain).hash.encode()]
