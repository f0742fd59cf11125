"""Who found the block, and what it earned."""

from app.model.block import SATOSHI_PER_BTC
from app.model.features import BlockFeatures
from app.processors.base import Metric, Output
from app.processors.history import History
from app.processors.pools import pool_of

QUALITY = {"address": 1.0, "tag": 0.9, "none": 1.0}
"""Of the pool: a payout address belongs to somebody, a tag may be written by anybody."""


class MinerProcessor:
    """Signals `miner.*`: see docs/signals.md."""

    name = "miner"

    def process(self, features: BlockFeatures, history: History | None) -> Output:
        """The pool, revenue (BTC) and the share of fees in what the block could earn."""
        return Output([_pool(features), *_earnings(features)])


def _pool(features: BlockFeatures) -> Metric:
    pool = pool_of(features.payout_addresses, features.coinbase_script)
    known = 0.0 if pool.basis == "none" else 1.0
    return Metric("miner.pool", known, known, QUALITY[pool.basis], {"basis": pool.basis, "pool": pool.name})


def _earnings(features: BlockFeatures) -> list[Metric]:
    allowed = features.subsidy_sat + features.total_fee_sat
    if not allowed:
        return []
    share = features.total_fee_sat / allowed
    revenue = features.coinbase_value_sat
    parts = {"fee_sat": features.total_fee_sat, "subsidy_sat": features.subsidy_sat}
    return [
        Metric("miner.fee_share", share, share, features.fee_completeness, parts),
        Metric("miner.revenue_btc", revenue / SATOSHI_PER_BTC, min(1.0, revenue / allowed), 1.0, parts),
    ]
