"""Transactions of simulated blocks that nobody in particular makes. Pure.

Inputs spend outputs that no block made. Addresses start with `sim1`, so that nobody takes them for real
ones; pools sign with the tags that real pools use.
"""

from hashlib import sha256
from random import Random
from typing import Any

from app.chain.extract import WITNESS_SCALE_FACTOR
from app.model.block import SATOSHI_PER_BTC

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


def coinbase(rng: Random, height: int, value_sat: int) -> Json:
    """The first transaction of a block: pays `value_sat` to the pool that found it."""
    return coinbase_of(rng, height, value_sat, draw_pool(rng))


def draw_pool(rng: Random) -> int:
    """Who finds a block: a number in POOLS."""
    (number,) = rng.choices(range(len(POOLS)), [share for _, share in POOLS])
    return number


def coinbase_of(rng: Random, height: int, value_sat: int, number: int) -> Json:
    """The coinbase of pool `number`."""
    script = _pushed_height(height) + POOLS[number][0] + rng.randbytes(8)
    return {
        "txid": f"{rng.getrandbits(256):064x}",
        "version": 2,
        "size": COINBASE_WEIGHT // WITNESS_SCALE_FACTOR,
        "weight": COINBASE_WEIGHT,
        "vin": [{"coinbase": script.hex(), "sequence": 0xFFFFFFFF}],
        "vout": [
            output(0, value_sat, payout_address(number)),
            {"value": 0.0, "n": 1, "scriptPubKey": {"type": "nulldata"}},
        ],
    }


def payout_address(number: int) -> str:
    """Where pool `number` is paid."""
    return address_of(f"pool {number}")


def _pushed_height(height: int) -> bytes:
    """The height as the coinbase begins with it (BIP 34)."""
    number = height.to_bytes(height.bit_length() // 8 + 1, "little")
    return bytes([len(number)]) + number


def transactions(rng: Random, height: int, count: int, room: int, feerate: float) -> tuple[list[Json], int]:
    """`count` transactions that fill `room` weight units, and the sum of their fees (sat)."""
    shapes = [(rng.choice((1, 1, 1, 2, 3)), rng.choice((1, 2, 2, 2, 2, 3, 6))) for _ in range(count)]
    if not shapes:
        return [], 0
    stretch = room / sum(272 * inputs + 124 * outputs for inputs, outputs in shapes)
    txs, total = [], 0
    for inputs, outputs in shapes:
        weight = int((272 * inputs + 124 * outputs) * stretch)
        fee_sat = int(feerate * rng.lognormvariate(0, 0.6) * weight / WITNESS_SCALE_FACTOR)
        total += fee_sat
        txs.append(_transaction(rng, height, inputs, outputs, weight, fee_sat))
    return txs, total


def _transaction(rng: Random, height: int, inputs: int, outputs: int, weight: int, fee_sat: int) -> Json:
    payments = [amount_sat(rng) for _ in range(outputs)]
    vout = [output(n, value, somebody(rng)) for n, value in enumerate(payments)]
    spenders = [somebody(rng) for _ in range(inputs)]
    if outputs > 1 and rng.random() < 0.7:
        vout[-1]["scriptPubKey"]["address"] = spenders[0]  # change, where one sees that it is
    values = split(rng, sum(payments) + fee_sat, inputs)
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


def amount_sat(rng: Random) -> int:
    """What somebody pays: mostly little, once in a while a whale's."""
    if rng.random() < WHALE_SHARE / 3:  # three outputs a transaction
        low, high = rng.choices(WHALE_TIERS_BTC, (6, 3, 1))[0]
        return rng.randrange(low * SATOSHI_PER_BTC, high * SATOSHI_PER_BTC)
    return 330 + int(min(90.0, 0.03 * rng.lognormvariate(0, 2)) * SATOSHI_PER_BTC)


def split(rng: Random, total: int, parts: int) -> list[int]:
    """`total` in `parts` pieces of random size, each >= 0."""
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


def output(n: int, value_sat: int, address: str) -> Json:
    """Output number `n` of a transaction."""
    script = {"address": address, "type": "witness_v0_keyhash"}
    return {"value": value_sat / SATOSHI_PER_BTC, "n": n, "scriptPubKey": script}


def somebody(rng: Random) -> str:
    """One of 5,000 people's addresses."""
    return _PEOPLE[int(rng.random() * len(_PEOPLE))]


def address_of(name: str) -> str:
    """The address of somebody called `name`."""
    return "sim1q" + sha256(name.encode()).hexdigest()[:38]


_PEOPLE = tuple(address_of(f"person {number}") for number in range(5000))
