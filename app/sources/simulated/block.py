"""One simulated block, header and all, as the JSON of `getblock <hash> 3`. Pure.

A block is a function of its world, its place and what is asked of its content. Its hash is made from
world and place alone and commits to nothing.
"""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from math import exp
from random import Random
from typing import Any, NamedTuple

import orjson

from app.chain.extract import WITNESS_SCALE_FACTOR, subsidy_sat
from app.model.block import MAX_BLOCK_WEIGHT
from app.sources.simulated.transactions import (
    COINBASE_WEIGHT,
    Json,
    coinbase,
    transactions,
)

GENESIS_TIME = 1_231_006_505
"""Of height 0, as on the main chain: height 900,000 lies in 2026."""
BLOCK_SECONDS = 600
HEADER_WEIGHT = 332

USUAL_FEERATE = 2.2
"""Logarithm of the fee rate (sat/vB) that the market swings around: 9 sat/vB."""
FEE_MEMORY = 0.92
"""How much of the market's excitement one block hands to the next."""
FEE_SHOCK = 0.25
FEE_LAGS = 60

World = int | str
"""What all blocks of a simulation are made from: a seed, and options where they change the content."""
Fork = int | str
"""Name of a branch; 0 is the trunk."""


class Place(NamedTuple):
    """Where a block stands: its height, its branch, and the branch of the block before it."""

    height: int
    fork: Fork = 0
    parent: Fork = 0


@dataclass(frozen=True, slots=True)
class Content:
    """What is asked of a block."""

    transactions: tuple[int, int] = (50, 300)
    """Fewest and most, the coinbase left out."""
    fullness: float | None = None
    """Share of the largest weight; None: as the fee market has it; 0: no transactions at all."""
    time: int | None = None
    """Header time (s); None: 600 s a height, give or take 500."""


USUAL = Content()


def make_block(world: World, place: Place, content: Content = USUAL) -> bytes:
    """The block at `place`; weights are stretched to what fills the block."""
    return orjson.dumps(_block(world, place, content))


def hash_of(world: World, height: int, fork: Fork) -> str:
    """Hash of the block at `height` of the branch `fork`."""
    return "0" * 16 + sha256(f"{world}|{height}|{fork}".encode()).hexdigest()[:48]


class Demand(NamedTuple):
    """What the fee market asks of a block."""

    transactions: int
    """How many, the coinbase left out."""
    room: int
    """Weight units for them."""
    feerate: float
    """sat/vB that is usual now."""


def demand_at(rng: Random, world: World, height: int, content: Content) -> Demand:
    """The market at `height`, as far as `content` leaves it open."""
    heat = _heat(world, height)
    fullness = min(0.999, max(0.15, 0.72 + 0.35 * heat + rng.gauss(0, 0.08)))
    if content.fullness is not None:
        fullness = content.fullness
    low, high = content.transactions
    count = low + int((high - low) * fullness * rng.random())
    room = int(MAX_BLOCK_WEIGHT * fullness) - HEADER_WEIGHT - COINBASE_WEIGHT
    return Demand(count if fullness else 0, room, exp(USUAL_FEERATE + heat))


def _block(world: World, place: Place, content: Content) -> Json:
    height = place.height
    rng = Random(f"{world}|{height}|{place.fork}")  # noqa: S311 - reproducible, not secret
    txs, fee_sat = transactions(rng, height, *demand_at(rng, world, height, content))
    header = header_of(rng, world, place, content.time, txs)
    return {**header, "tx": [coinbase(rng, height, subsidy_sat(height) + fee_sat), *txs]}


def header_of(rng: Random, world: World, place: Place, time: int | None, txs: list[Json]) -> Json:
    """All of the block at `place` but its transactions; `txs` are those without the coinbase."""
    height = place.height
    usual = GENESIS_TIME + BLOCK_SECONDS * height + rng.randrange(-500, 500)
    time = usual if time is None else time
    header: Json = {
        "hash": hash_of(world, height, place.fork),
        "confirmations": 1,
        "height": height,
        "version": 0x20000000,
        "merkleroot": f"{rng.getrandbits(256):064x}",
        "time": time,
        "mediantime": time - 5 * BLOCK_SECONDS,
        "nonce": rng.getrandbits(32),
        **_sums(txs),
    }
    if height:
        header["previousblockhash"] = hash_of(world, height - 1, place.parent)
    return header


def _sums(txs: list[Json]) -> dict[str, Any]:
    weight = HEADER_WEIGHT + COINBASE_WEIGHT + sum(tx["weight"] for tx in txs)
    return {
        "nTx": len(txs) + 1,
        "strippedsize": weight // WITNESS_SCALE_FACTOR,
        "size": weight // 2,
        "weight": weight,
    }


def _heat(world: World, height: int) -> float:
    """How far the fee market is from usual: an autoregression, cut off where its memory has faded."""
    lags = range(min(FEE_LAGS, height + 1))
    return FEE_SHOCK * sum(FEE_MEMORY**lag * _shock(world, height - lag) for lag in lags)


@lru_cache(maxsize=4096)
def _shock(world: World, height: int) -> float:
    return Random(f"{world}|{height}|shock").gauss(0, 1)  # noqa: S311 - reproducible, not secret
