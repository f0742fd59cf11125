"""Large movements of coins, and of old ones."""

import msgspec

from app.model.block import SATOSHI_PER_BTC
from app.model.features import BlockFeatures, Transfer
from app.model.signal import Signal
from app.processors.base import History, metadata, saturating

TIERS_BTC = (100, 500, 1000)
"""Least value of a transaction, without change, to count in a tier."""
COUNT_HALF = 10.0
"""Transactions of a tier in one block at which the count's score is 0.5."""
COIN_DAYS_HALF = 100_000.0
"""Coin days at which their score is 0.5."""


class WhaleProcessor:
    """Signals `whale.*`: see docs/signals.md."""

    name = "whale"

    def process(self, features: BlockFeatures, history: History | None) -> list[Signal]:
        """Transfer value, count and sum a tier, the largest transfer (BTC), coin days destroyed."""
        signals = [_transfer(features), _largest(features), _coin_days(features)]
        for tier in TIERS_BTC:
            signals += _tier(features, tier)
        for signal in signals:
            signal.confidence = features.completeness
        return signals


def _transfer(features: BlockFeatures) -> Signal:
    large = sum(transfer.value_sat for transfer in features.large_transfers)
    return Signal(name="whale.transfer_btc", value=_btc(features.transfer_sat), score=_share(large, features))


def _largest(features: BlockFeatures) -> Signal:
    largest = next(iter(features.large_transfers), None)
    value_sat = largest.value_sat if largest else 0
    return Signal(
        name="whale.largest_btc",
        value=_btc(value_sat),
        score=_share(value_sat, features),
        metadata=metadata(txid=largest.txid) if largest else msgspec.UNSET,
    )


def _coin_days(features: BlockFeatures) -> Signal:
    days = features.coin_days_destroyed
    return Signal(name="whale.coin_days_destroyed", value=days, score=saturating(days, COIN_DAYS_HALF))


def _tier(features: BlockFeatures, tier: int) -> list[Signal]:
    within: list[Transfer] = [t for t in features.large_transfers if t.value_sat >= tier * SATOSHI_PER_BTC]
    total = sum(transfer.value_sat for transfer in within)
    return [
        Signal(
            name=f"whale.count:{tier}btc",
            value=float(len(within)),
            score=saturating(len(within), COUNT_HALF),
        ),
        Signal(name=f"whale.sum_btc:{tier}btc", value=_btc(total), score=_share(total, features)),
    ]


def _share(part_sat: int, features: BlockFeatures) -> float:
    return part_sat / features.transfer_sat if features.transfer_sat else 0.0


def _btc(value_sat: int) -> float:
    return value_sat / SATOSHI_PER_BTC
