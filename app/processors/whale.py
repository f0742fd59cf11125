"""Large movements of coins, and of old ones."""

from app.model.block import SATOSHI_PER_BTC
from app.model.features import BlockFeatures, Transfer
from app.processors.base import Metric, Output, saturating
from app.processors.history import History

TIERS_BTC = (100, 500, 1000)
"""Least value of a transaction, without change, to count in a tier."""
COUNT_HALF = 10.0
"""Transactions of a tier in one block at which the count's score is 0.5."""
COIN_DAYS_HALF = 100_000.0
"""Coin days at which their score is 0.5."""


class WhaleProcessor:
    """Signals `whale.*`: see docs/signals.md."""

    name = "whale"

    def process(self, features: BlockFeatures, history: History | None) -> Output:
        """Transfer value, count and sum a tier, the largest transfer (BTC), coin days destroyed."""
        metrics = [_transfer(features), _largest(features), _coin_days(features)]
        for tier in TIERS_BTC:
            metrics += _tier(features, tier)
        for metric in metrics:
            metric.quality = features.completeness
        return Output(metrics)


def _transfer(features: BlockFeatures) -> Metric:
    large = sum(transfer.value_sat for transfer in features.large_transfers)
    return Metric(name="whale.transfer_btc", value=_btc(features.transfer_sat), score=_share(large, features))


def _largest(features: BlockFeatures) -> Metric:
    largest = next(iter(features.large_transfers), None)
    value_sat = largest.value_sat if largest else 0
    return Metric(
        name="whale.largest_btc",
        value=_btc(value_sat),
        score=_share(value_sat, features),
        metadata={"txid": largest.txid} if largest else {},
    )


def _coin_days(features: BlockFeatures) -> Metric:
    days = features.coin_days_destroyed
    return Metric(name="whale.coin_days_destroyed", value=days, score=saturating(days, COIN_DAYS_HALF))


def _tier(features: BlockFeatures, tier: int) -> list[Metric]:
    within: list[Transfer] = [t for t in features.large_transfers if t.value_sat >= tier * SATOSHI_PER_BTC]
    total = sum(transfer.value_sat for transfer in within)
    return [
        Metric(
            name=f"whale.count:{tier}btc",
            value=float(len(within)),
            score=saturating(len(within), COUNT_HALF),
        ),
        Metric(name=f"whale.sum_btc:{tier}btc", value=_btc(total), score=_share(total, features)),
    ]


def _share(part_sat: int, features: BlockFeatures) -> float:
    return part_sat / features.transfer_sat if features.transfer_sat else 0.0


def _btc(value_sat: int) -> float:
    return value_sat / SATOSHI_PER_BTC
