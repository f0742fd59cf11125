"""What the block says of the market for block space: fee rates, fullness, pressure."""

from math import log1p

from app.chain.extract import PERCENTILES
from app.chain.window import robust_z
from app.model.block import MAX_BLOCK_WEIGHT
from app.model.features import BlockFeatures
from app.processors.base import Metric, Output, saturating
from app.processors.history import WINDOW, History
from app.processors.parameters import positive, window_of

FEERATE_HALF = 20.0
"""sat/vB at which a fee rate's score is 0.5."""


class MempoolProcessor:
    """Signals `mempool.*`:

    - `mempool.feerate_p10` to `_p90` (sat/vB): the fee rate up to which 10, 25, 50, 75, 90 % of the weight
      pays, as Bitcoin Core's `getblockstats` defines its `feerate_percentiles`, but not rounded down;
    - `mempool.fullness` (0..1): weight / 4,000,000, the limit of BIP 141;
    - `mempool.fee_pressure` (robust z): how far log(1 + total fee in sat) is above its median over the
      window, in deviations.

    `feerate_half`: sat/vB at which a fee rate's score is 0.5. `pressure_full`: deviations at which the
    pressure's score is 1. `window`: blocks. Raises ValueError.
    """

    name = "mempool"
    every_block = True

    def __init__(
        self, *, feerate_half: float = FEERATE_HALF, pressure_full: float = 5.0, window: int = WINDOW
    ) -> None:
        self._feerate_half = positive("feerate_half", feerate_half)
        self._pressure_full = positive("pressure_full", pressure_full)
        self._window = window_of("window", window)

    def process(self, features: BlockFeatures, history: History | None) -> Output:
        """Fee rates, fullness and, with a window, fee pressure."""
        log_fee = log1p(features.total_fee_sat)
        metrics = [*self._feerates(features), _fullness(features)]
        if history is not None:
            metrics += self._pressure(features, log_fee, history.traces(self.name, self._window))
        return Output(metrics, trace=log_fee)

    def _feerates(self, features: BlockFeatures) -> list[Metric]:
        return [
            Metric(
                f"mempool.feerate_p{share}",
                rate,
                saturating(rate, self._feerate_half),
                features.fee_completeness,
            )
            for share, rate in zip(PERCENTILES, features.feerate_percentiles, strict=False)
        ]

    def _pressure(self, features: BlockFeatures, log_fee: float, earlier: list[float]) -> list[Metric]:
        z = robust_z(log_fee, earlier)
        if z is None:
            return []
        score = max(-1.0, min(1.0, z / self._pressure_full))
        known = {"total_fee_sat": features.total_fee_sat}
        return [Metric("mempool.fee_pressure", z, score, features.fee_completeness, known)]


def _fullness(features: BlockFeatures) -> Metric:
    fullness = features.weight / MAX_BLOCK_WEIGHT
    known = {"tx_count": features.tx_count, "weight": features.weight}
    return Metric("mempool.fullness", fullness, fullness, metadata=known)
