"""Blocks of a made-up fee market: a level that wanders, and blocks that scatter around it."""

from collections.abc import Sequence
from math import exp
from random import Random

import msgspec

from app.chain.extract import subsidy_sat
from app.model.features import BlockFeatures

SPREADS = (0.5, 0.7, 1.0, 1.5, 2.5)


def block(height: int, rates: Sequence[float], *, seconds: int = 600, txs: int = 3000) -> BlockFeatures:
    """A full block with these percentiles of fee rate (sat/vB), `seconds` after height 0's time x height."""
    return BlockFeatures(
        chain="BTC",
        height=height,
        hash=f"{height:064x}",
        previousblockhash=f"{height - 1:064x}",
        time=1_700_000_000 + seconds * height,
        tx_count=txs,
        weight=3_990_000,
        size=1_600_000,
        total_fee_sat=3_000_000 if rates else 0,
        subsidy_sat=subsidy_sat(height),
        coinbase_value_sat=subsidy_sat(height),
        feerate_percentiles=list(rates),
        coinbase_script="",
        payout_addresses=[],
        transfer_sat=0,
        large_transfers=[],
        coin_days_destroyed=0.0,
    )


def market(count: int, *, level: float = 3.0, seed: int = 1, first: int = 900_000) -> list[BlockFeatures]:
    """`count` blocks whose fee rates are around `level` sat/vB; the same seed gives the same scatter."""
    chance, drift, blocks = Random(seed), 0.0, []
    for height in range(first, first + count):
        drift = 0.98 * drift + chance.gauss(0, 0.08)
        median = level * exp(drift + chance.gauss(0, 0.5))
        rates = [median * spread for spread in SPREADS]
        blocks.append(block(height, rates, txs=chance.randint(500, 5000)))
    return blocks


def scaled(blocks: Sequence[BlockFeatures], by: float) -> list[BlockFeatures]:
    """The same blocks with all fee rates `by` times as high."""
    return [
        msgspec.structs.replace(b, feerate_percentiles=[by * rate for rate in b.feerate_percentiles])
        for b in blocks
    ]
