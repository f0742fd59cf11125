"""What the block says of the market for block space: fee rates, fullness, pressure."""

from app.chain.extract import PERCENTILES
from app.chain.window import robust_z
from app.model.block import MAX_BLOCK_WEIGHT
from app.model.features import BlockFeatures
from app.model.signal import Signal
from app.processors.base import History, history_value, metadata, saturating

FEERATE_HALF = 20.0
"""sat/vB at which a fee rate's score is 0.5."""
PRESSURE_FULL = 5.0
"""Deviations from the usual at which fee pressure's score is 1."""


class MempoolProcessor:
    """Signals `mempool.*`: see docs/signals.md."""

    name = "mempool"

    def process(self, features: BlockFeatures, history: History | None) -> list[Signal]:
        """Fee rates (sat/vB), fullness (share of the weight limit), fee pressure (robust z)."""
        return [*_feerates(features), _fullness(features), *_pressure(features, history)]


def _feerates(features: BlockFeatures) -> list[Signal]:
    return [
        Signal(
            name=f"mempool.feerate_p{share}",
            value=rate,
            score=saturating(rate, FEERATE_HALF),
            confidence=features.fee_completeness,
        )
        for share, rate in zip(PERCENTILES, features.feerate_percentiles, strict=False)
    ]


def _fullness(features: BlockFeatures) -> Signal:
    fullness = features.weight / MAX_BLOCK_WEIGHT
    return Signal(
        name="mempool.fullness",
        value=fullness,
        score=fullness,
        confidence=1.0,
        metadata=metadata(tx_count=features.tx_count, weight=features.weight),
    )


def _pressure(features: BlockFeatures, history: History | None) -> list[Signal]:
    z = None if history is None else robust_z(history_value(features), history.log_fees)
    if history is None or z is None:
        return []
    return [
        Signal(
            name="mempool.fee_pressure",
            value=z,
            score=max(-1.0, min(1.0, z / PRESSURE_FULL)),
            confidence=features.fee_completeness,
            metadata=metadata(total_fee_sat=features.total_fee_sat, window=len(history.log_fees)),
        )
    ]
