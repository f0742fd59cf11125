"""Large movements of coins, and of old ones."""

from collections.abc import Mapping, Sequence

from app.chain.flows import LARGE_TRANSFER_SAT
from app.chain.histogram import from_edge, top_edge
from app.model.block import SATOSHI_PER_BTC, btc
from app.model.features import BlockFeatures, Shape, ShapeSum
from app.processors.base import Metric, Output, saturating
from app.processors.history import WINDOW, History
from app.processors.parameters import ascending, positive, window_of

NOT_TRANSFERS = (Shape.SELF_TRANSFER, Shape.CONSOLIDATION, Shape.COINJOIN)
MIN_TRANSFERS = 1000
"""Fewer in the window have no 99.9 % quantile."""


class WhaleProcessor:
    """Signals `whale.*`; values without change, in BTC, of transactions of shape `transfer` only
    (`app/chain/shapes.py`): self-transfers, consolidations and CoinJoins are told apart and left out.

    - `whale.transfer_btc`: their sum; `whale.largest_btc`: the largest of at least 10 BTC, else 0;
    - `whale.count:100btc`, `whale.sum_btc:100btc` and so on for each tier: those of at least so much;
    - `whale.threshold_btc`: the 99.9 % quantile of transfers over the window before, up to the edge of a
      bin (`app/chain/histogram.py`); `whale.count:top`, `whale.sum_btc:top`: those that reach it;
    - `whale.self_transfer_btc`, `whale.consolidation_btc`, `whale.coinjoin_btc`: what was left out;
    - `whale.coin_days_destroyed` (BTC x days): sum over inputs of value x age, age = blocks / 144;
    - `whale.dormancy_days`: that / value of these inputs (Glassnode's dormancy); none without inputs.

    `tiers_btc`: from 10 on. `top_share`: of the adaptive quantile, 0.001 for 99.9 %. `window`: blocks.
    `count_half`, `coin_days_half`, `dormancy_half`, `half_btc`: what gives a score of 0.5. Raises ValueError.
    """

    name = "whale"
    every_block = True

    def __init__(
        self,
        *,
        tiers_btc: Sequence[float] = (100, 500, 1000),
        top_share: float = 0.001,
        window: int = WINDOW,
        count_half: float = 10.0,
        coin_days_half: float = 100_000.0,
        dormancy_half: float = 100.0,
        half_btc: float = 1000.0,
    ) -> None:
        self._tiers = ascending("tiers_btc", tiers_btc, LARGE_TRANSFER_SAT / SATOSHI_PER_BTC)
        self._top_share = positive("top_share", top_share)
        if top_share >= 1:
            raise ValueError(f"top_share is {top_share!r}: give a share below 1, 0.001 for 99.9 %")
        self._window = window_of("window", window)
        self._count_half = positive("count_half", count_half)
        self._coin_days_half = positive("coin_days_half", coin_days_half)
        self._dormancy_half = positive("dormancy_half", dormancy_half)
        self._half_btc = positive("half_btc", half_btc)

    def process(self, features: BlockFeatures, history: History | None) -> Output:
        """Transfers, tiers, what is no transfer, ages, and with history the adaptive threshold."""
        metrics = [*_transfers(features), *self._not_transfers(features)]
        for tier in self._tiers:
            metrics += self._tier(features, tier)
        if history is not None:
            metrics += self._top(features, history)
        for metric in metrics:
            metric.quality = features.completeness
        found = features.transfers
        return Output([*metrics, *self._ages(features)], trace=[found.first, *found.counts])

    def _tier(self, features: BlockFeatures, tier_btc: float) -> list[Metric]:
        least = round(tier_btc * SATOSHI_PER_BTC)
        within = [t.value_sat for t in features.large_transfers if t.shape is Shape.TRANSFER]
        within = [value for value in within if value >= least]
        return self._reached(f"{tier_btc:g}btc", len(within), sum(within), features, {})

    def _top(self, features: BlockFeatures, history: History) -> list[Metric]:
        traces = history.traces(self.name, self._window)
        edge, transfers = top_edge([(trace[0], trace[1:]) for trace in traces], self._top_share)
        if transfers < MIN_TRANSFERS:
            return []
        known = {"blocks": len(traces), "threshold_btc": btc(edge), "transfers": transfers}
        count, total = from_edge(features.transfers, edge)
        threshold = Metric(
            "whale.threshold_btc", btc(edge), saturating(btc(edge), self._half_btc), metadata=known
        )
        return [threshold, *self._reached("top", count, total, features, known)]

    def _reached(
        self, subject: str, count: int, total_sat: int, features: BlockFeatures, known: Mapping[str, object]
    ) -> list[Metric]:
        return [
            Metric(
                f"whale.count:{subject}",
                float(count),
                saturating(count, self._count_half),
                metadata=dict(known),
            ),
            Metric(
                f"whale.sum_btc:{subject}", btc(total_sat), _share(total_sat, features), metadata=dict(known)
            ),
        ]

    def _not_transfers(self, features: BlockFeatures) -> list[Metric]:
        found = [(shape, features.shapes.get(shape, ShapeSum())) for shape in NOT_TRANSFERS]
        return [
            Metric(
                f"whale.{shape}_btc",
                btc(part.value_sat),
                saturating(btc(part.value_sat), self._half_btc),
                metadata={"txs": part.txs},
            )
            for shape, part in found
        ]

    def _ages(self, features: BlockFeatures) -> list[Metric]:
        days = features.coin_days_destroyed
        quality = min(features.completeness, features.age_completeness)
        metrics = [Metric("whale.coin_days_destroyed", days, saturating(days, self._coin_days_half), quality)]
        if features.aged_sat:
            dormancy = days / btc(features.aged_sat)
            score = saturating(dormancy, self._dormancy_half)
            metrics.append(Metric("whale.dormancy_days", dormancy, score, quality))
        return metrics


def _transfers(features: BlockFeatures) -> list[Metric]:
    large = [transfer for transfer in features.large_transfers if transfer.shape is Shape.TRANSFER]
    value_sat = large[0].value_sat if large else 0
    whole = _share(sum(transfer.value_sat for transfer in large), features)
    count = features.shapes.get(Shape.TRANSFER, ShapeSum()).txs
    return [
        Metric("whale.transfer_btc", btc(features.transfer_sat), whole, metadata={"txs": count}),
        Metric(
            "whale.largest_btc",
            btc(value_sat),
            _share(value_sat, features),
            metadata={"txid": large[0].txid} if large else {},
        ),
    ]


def _share(part_sat: int, features: BlockFeatures) -> float:
    return min(1.0, part_sat / features.transfer_sat) if features.transfer_sat else 0.0
