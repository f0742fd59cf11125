"""Who found the block, and what it earned."""

from app.model.block import SATOSHI_PER_BTC
from app.model.features import BlockFeatures
from app.model.signal import Signal
from app.processors.base import History, metadata
from app.processors.pools import pool_of

CONFIDENCE = {"address": 1.0, "tag": 0.9, "none": 1.0}
"""In the pool: a payout address belongs to somebody, a tag may be written by anybody."""


class MinerProcessor:
    """Signals `miner.*`: see docs/signals.md."""

    name = "miner"

    def process(self, features: BlockFeatures, history: History | None) -> list[Signal]:
        """The pool, revenue (BTC) and the share of fees in what the block could earn."""
        return [_pool(features), *_earnings(features)]


def _pool(features: BlockFeatures) -> Signal:
    pool = pool_of(features.payout_addresses, features.coinbase_script)
    known = 0.0 if pool.basis == "none" else 1.0
    return Signal(
        name="miner.pool",
        value=known,
        score=known,
        confidence=CONFIDENCE[pool.basis],
        metadata=metadata(basis=pool.basis, pool=pool.name),
    )


def _earnings(features: BlockFeatures) -> list[Signal]:
    allowed = features.subsidy_sat + features.total_fee_sat
    if not allowed:
        return []
    share = features.total_fee_sat / allowed
    parts = metadata(fee_sat=features.total_fee_sat, subsidy_sat=features.subsidy_sat)
    return [
        Signal(
            name="miner.fee_share",
            value=share,
            score=share,
            confidence=features.fee_completeness,
            metadata=parts,
        ),
        Signal(
            name="miner.revenue_btc",
            value=features.coinbase_value_sat / SATOSHI_PER_BTC,
            score=min(1.0, features.coinbase_value_sat / allowed),
            confidence=1.0,
            metadata=parts,
        ),
    ]
