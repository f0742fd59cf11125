"""A chain of its own, BTC-SIM: plausible blocks in any number, without a node. Pure.

A block is a function of seed and height alone (and of `fork`), so that a run can begin anywhere and a
longer one begins with the same blocks. Its hash is made from the same and commits to nothing; inputs
spend outputs that no block made. Addresses start with `sim1`, so that nobody takes them for real ones;
pools sign with the tags that real pools use.
"""

from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from math import exp
from random import Random
from typing import Any

import orjson

from app.chain.extract import WITNESS_SCALE_FACTOR, subsidy_sat
from app.model.block import MAX_BLOCK_WEIGHT, SATOSHI_PER_BTC

CHAIN = "BTC-SIM"
GENESIS_TIME = 1_231_006_505
"""Of height 0, as on the main chain: height 900,000 lies in 2026."""
BLOCK_SECONDS = 600

USUAL_FEERATE = 2.2
"""Logarithm of the fee rate (sat/vB) that the market swings around: 9 sat/vB."""
FEE_MEMORY = 0.92
"""How much of the market's excitement one block hands to the next."""
FEE_SHOCK = 0.25
FEE_LAGS = 60
HEADER_WEIGHT = 332
COINBASE_WEIGHT = 1000
WHALE_SHARE = 0.012
"""Share of transactions that move 100 BTC or more."""
WHALE_TIERS_BTC = ((100, 480), (500, 950), (1000, 6000))

POOLS = (
    (b"Foundry USA Pool #dropgold", 0.28),
    (b"Mined by AntPool", 0.22),
    (b"/ViaBTC/Mined by sim/", 0.14),
    (b"/F2Pool/", 0.12),
    (b"MARA Pool", 0.06),
    (b"SpiderPool", 0.05),
    (b"/LUXOR/", 0.04),
    (b"/slush/", 0.03),
    (b"/SBICrypto.com Pool/", 0.02),
    (b"", 0.04),
)
"""Coinbase tags and their share of blocks; the last leaves none."""

Json = dict[str, Any]


def simulate(blocks: int, seed: int, start_height: int = 0, *, fork: int = 0) -> Iterator[bytes]:
    """`blocks` blocks from `start_height` on, each as the JSON of `getblock <hash> 3`.

    With another `fork`, other blocks at the same heights: the first stands on the chain of fork 0, the
    others on one another, as in a reorganisation. 50 to 300 transactions a block; their weights are
    stretched to what fills a real one. On a chain that starts at 0, coins are young; from height
    5.1 million on, header times leave their 32 bits.
    """
    for height in range(start_height, start_height + blocks):
        yield orjson.dumps(_block(seed, height, fork, 0 if height == start_height else fork))


def _block(seed: int, height: int, fork: int, parent_fork: int) -> Json:
    rng = Random(f"{seed}|{height}|{fork}")  # noqa: S311 - reproducible, not secret
    heat = _heat(seed, height)
    fullness = min(0.999, max(0.15, 0.72 + 0.35 * heat + rng.gauss(0, 0.08)))
    room = int(MAX_BLOCK_WEIGHT * fullness) - HEADER_WEIGHT - COINBASE_WEIGHT
    count = 50 + int(250 * fullness * rng.random())
    txs, fee_sat = _transactions(rng, height, count, room, exp(USUAL_FEERATE + heat))
    time = GENESIS_TIME + BLOCK_SECONDS * height + rng.randrange(-500, 500)
    weight = HEADER_WEIGHT + COINBASE_WEIGHT + sum(tx["weight"] for tx in txs)
    header: Json = {
        "hash": _hash(seed, height, fork),
        "confirmations": 1,
        "height": height,
        "version": 0x20000000,
        "merkleroot": f"{rng.getrandbits(256):064x}",
        "time": time,
        "mediantime": time - 5 * BLOCK_SECONDS,
        "nonce": rng.getrandbits(32),
        "nTx": count + 1,
        "strippedsize": weight // WITNESS_SCALE_FACTOR,
        "size": weight // 2,
        "weight": weight,
    }
    if height:
        header["previousblockhash"] = _hash(seed, height - 1, parent_fork)
    return {**header, "tx": [_coinbase(rng, height, subsidy_sat(height) + fee_sat), *txs]}


def _hash(seed: int, height: int, fork: int) -> str:
    return "0" * 16 + sha256(f"{seed}|{height}|{fork}".encode()).hexdigest()[:48]


def _heat(seed: int, height: int) -> float:
    """How far the fee market is from usual: an autoregression, cut off where its memory has faded."""
    lags = range(min(FEE_LAGS, height + 1))
    return FEE_SHOCK * sum(FEE_MEMORY**lag * _shock(seed, height - lag) for lag in lags)


@lru_cache(maxsize=4096)
def _shock(seed: int, height: int) -> float:
    return Random(f"{seed}|{height}|shock").gauss(0, 1)  # noqa: S311 - reproducible, not secret


def _coinbase(rng: Random, height: int, value_sat: int) -> Json:
    (number,) = rng.choices(range(len(POOLS)), [share for _, share in POOLS])
    script = _pushed_height(height) + POOLS[number][0] + rng.randbytes(8)
    return {
        "txid": f"{rng.getrandbits(256):064x}",
        "version": 2,
        "size": COINBASE_WEIGHT // WITNESS_SCALE_FACTOR,
        "weight": COINBASE_WEIGHT,
        "vin": [{"coinbase": script.hex(), "sequence": 0xFFFFFFFF}],
        "vout": [
            _output(0, value_sat, _address(f"pool {number}")),
            {"value": 0.0, "n": 1, "scriptPubKey": {"type": "nulldata"}},
        ],
    }


def _pushed_height(height: int) -> bytes:
    """The height as the coinbase begins with it (BIP 34)."""
    number = height.to_bytes(height.bit_length() // 8 + 1, "little")
    return bytes([len(number)]) + number


def _transactions(rng: Random, height: int, count: int, room: int, feerate: float) -> tuple[list[Json], int]:
    """`count` transactions that fill `room` weight units, and the sum of their fees (sat)."""
    shapes = [(rng.choice((1, 1, 1, 2, 3)), rng.choice((1, 2, 2, 2, 2, 3, 6))) for _ in range(count)]
    stretch = room / sum(272 * inputs + 124 * outputs for inputs, outputs in shapes)
    txs, total = [], 0
    for inputs, outputs in shapes:
        weight = int((272 * inputs + 124 * outputs) * stretch)
        fee_sat = int(feerate * rng.lognormvariate(0, 0.6) * weight / WITNESS_SCALE_FACTOR)
        total += fee_sat
        txs.append(_transaction(rng, height, inputs, outputs, weight, fee_sat))
    return txs, total


def _transaction(rng: Random, height: int, inputs: int, outputs: int, weight: int, fee_sat: int) -> Json:
    payments = [_amount_sat(rng) for _ in range(outputs)]
    vout = [_output(n, value, _somebody(rng)) for n, value in enumerate(payments)]
    spenders = [_somebody(rng) for _ in range(inputs)]
    if outputs > 1 and rng.random() < 0.7:
        vout[-1]["scriptPubKey"]["address"] = spenders[0]  # change, where one sees that it is
    values = _split(rng, sum(payments) + fee_sat, inputs)
    return {
        "txid": f"{rng.getrandbits(256):064x}",
        "version": 2,
        "size": weight // 2,
        "vsize": -(-weight // WITNESS_SCALE_FACTOR),
        "weight": weight,
        "vin": [_input(rng, height, v, owner) for v, owner in zip(values, spenders, strict=True)],
        "fee": fee_sat / SATOSHI_PER_BTC,
        "vout": vout,
    }


def _amount_sat(rng: Random) -> int:
    if rng.random() < WHALE_SHARE / 3:  # three outputs a transaction
        low, high = rng.choices(WHALE_TIERS_BTC, (6, 3, 1))[0]
        return rng.randrange(low * SATOSHI_PER_BTC, high * SATOSHI_PER_BTC)
    return 330 + int(min(90.0, 0.03 * rng.lognormvariate(0, 2)) * SATOSHI_PER_BTC)


def _split(rng: Random, total: int, parts: int) -> list[int]:
    cuts = sorted([int(rng.random() * total) for _ in range(parts - 1)])
    return [high - low for low, high in zip([0, *cuts], [*cuts, total], strict=True)]


def _input(rng: Random, height: int, value_sat: int, owner: str) -> Json:
    age = rng.expovariate(1 / 300) if rng.random() < 0.93 else rng.random() * height
    return {
        "txid": f"{rng.getrandbits(256):064x}",
        "vout": int(rng.random() * 4),
        "sequence": 0xFFFFFFFD,
        "prevout": {
            "generated": False,
            "height": max(0, height - int(age)),
            "value": value_sat / SATOSHI_PER_BTC,
            "scriptPubKey": {"address": owner, "type": "witness_v0_keyhash"},
        },
    }


def _output(n: int, value_sat: int, address: str) -> Json:
    script = {"address": address, "type": "witness_v0_keyhash"}
    return {"value": value_sat / SATOSHI_PER_BTC, "n": n, "scriptPubKey": script}


def _somebody(rng: Random) -> str:
    return _PEOPLE[int(rng.random() * len(_PEOPLE))]


def _address(name: str) -> str:
    return "sim1q" + sha256(name.encode()).hexdigest()[:38]


_PEOPLE = tuple(_address(f"person {number}") for number in range(5000))
