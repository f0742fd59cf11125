"""What the block says of the market for block space: fee rates, fullness, pressure."""

from math import log1p

from app.chain.extract import PERCENTILES
from app.chain.window import robust_z
from app.model.block import MAX_BLOCK_WEIGHT
from app.model.features import BlockFeatures
from app.processors.base import Metric, Output, saturating
from app.processors.history import History

FEERATE_HALF = 20.0
"""sat/vB at which a fee rate's score is 0.5."""
PRESSURE_FULL = 5.0
"""Deviations from the usual at which fee pressure's score is 1."""


class MempoolProcessor:
    """Signals `mempool.*`: see docs/signals.md."""

    name = "mempool"

    def process(self, features: BlockFeatures, history: History | None) -> Output:
        """Fee rates (sat/vB), fullness (share of the weight limit), fee pressure (robust z)."""
        log_fee = log1p(features.total_fee_sat)
        metrics = [*_feerates(features), _fullness(features)]
        if history is not None:
            metrics += _pressure(features, log_fee, history.traces(self.name, 144))
        return Output(metrics, trace=log_fee)


def _feerates(features: BlockFeatures) -> list[Metric]:
    return [
        Metric(f"mempool.feerate_p{share}", rate, saturating(rate, FEERATE_HALF), features.fee_completeness)
        for share, rate in zip(PERCENTILES, features.feerate_percentiles, strict=False)
    ]


def _fullness(features: BlockFeatures) -> Metric:
    fullness = features.weight / MAX_BLOCK_WEIGHT
    return Metric(
        "mempool.fullness",
        fullness,
        fullness,
        metadata={"tx_count": features.tx_count, "weight": features.weight},
    )


def _pressure(features: BlockFeatures, log_fee: float, earlier: list[float]) -> list[Metric]:
    z = robust_z(log_fee, earlier)
    if z is None:
        return []
    return [
        Metric(
            "mempool.fee_pressure",
            z,
            max(-1.0, min(1.0, z / PRESSURE_FULL)),
            features.fee_completeness,
            {"total_fee_sat": features.total_fee_sat},
        )
    ]
