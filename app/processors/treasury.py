"""What companies, funds and states that hold coins do with them; and old coins, whoever spends them."""

from app.labels.registry import Kind
from app.model.block import btc
from app.model.features import BlockFeatures, EntityFlow
from app.processors.base import Metric, Output, saturating
from app.processors.history import History
from app.processors.parameters import positive, whole
from app.processors.subjects import largest, of_kind, subject


class TreasuryProcessor:
    """Signals `treasury.*`:

    - `treasury.balance_change_btc:X`: received - spent by the owner X, labelled as treasury; owners that
      take no part in a block have none;
    - `treasury.old_spend_btc`: inputs older than 365 days (52,560 blocks), whoever owns them;
    - `treasury.old_spend_btc:X`: of these, the owner's; none where there are none.

    `half_btc`: BTC at which a score is 0.5, with the sign of the change. `most`: owners that get signals
    of their own, the largest first. Raises ValueError.
    """

    name = "treasury"
    every_block = True

    def __init__(self, *, half_btc: float = 1000.0, most: int = 100) -> None:
        self._half_btc = positive("half_btc", half_btc)
        self._most = whole("most", most)

    def process(self, features: BlockFeatures, history: History | None) -> Output:
        """Balance changes by owner; old coins spent, of all and by owner."""
        aged = min(features.completeness, features.age_completeness)
        metrics = [self._old_spend("", features.old_spent_sat, aged)]
        for flow in largest(of_kind(features, Kind.TREASURY), _volume, self._most):
            metrics.append(self._change(flow, features.completeness))
            if flow.old_spent_sat:
                name = ":" + subject(flow.entity)
                metrics.append(self._old_spend(name, flow.old_spent_sat, flow.confidence * aged))
        return Output(metrics)

    def _change(self, flow: EntityFlow, completeness: float) -> Metric:
        change = btc(flow.balance_change_sat)
        return Metric(
            f"treasury.balance_change_btc:{subject(flow.entity)}",
            change,
            saturating(abs(change), self._half_btc) * (1 if change >= 0 else -1),
            flow.confidence * completeness,
            {"received_btc": btc(flow.received_sat), "spent_btc": btc(flow.spent_sat)},
        )

    def _old_spend(self, suffix: str, sat: int, quality: float) -> Metric:
        value = btc(sat)
        return Metric(f"treasury.old_spend_btc{suffix}", value, saturating(value, self._half_btc), quality)


def _volume(flow: EntityFlow) -> int:
    return flow.received_sat + flow.spent_sat
