"""Coins that go to exchanges and come from them."""

from collections.abc import Mapping
from typing import NamedTuple

from app.chain.window import robust_z
from app.labels.registry import Kind
from app.model.block import btc
from app.model.features import BlockFeatures, EntityFlow
from app.processors.base import Metric, Output, saturating
from app.processors.history import WINDOW, History
from app.processors.parameters import positive, whole, window_of
from app.processors.subjects import label_quality, labelled, largest, of_kind, subject

UNUSUAL_FULL = 5.0
"""Deviations of the net flow at which its score is 1, or -1."""


class _Sums(NamedTuple):
    """Of one exchange, or of all."""

    inflow: Metric
    outflow: Metric
    net: Metric


class ExchangeProcessor:
    """Signals `exchange.*`, of the owners labelled as exchanges; none without labels.

    Per transaction and exchange d = received - spent; d > 0 is inflow, d < 0 outflow; what exchanges send
    one another is in neither (`app/chain/entities.py`).

    - `exchange.inflow_btc`, `exchange.outflow_btc`, and by exchange `exchange.inflow_btc:Binance`: sums;
    - `exchange.netflow_btc`: inflow - outflow, of all the change of their balances. By exchange it is the
      balance change too, so what it sent to and got from other exchanges is in it;
    - `exchange.whale_ratio` (0..1): the ten largest inflow transactions / all inflow, as CryptoQuant defines
      its Exchange Whale Ratio; none without inflow;
    - `exchange.netflow_z` (robust z): how unusual the net flow of all is over the window.

    `half_btc`: BTC at which a flow's score is 0.5. `window`: blocks. `most`: exchanges that get signals of
    their own, the largest flows first; an exchange without any flow in a block gets none. Raises ValueError.
    """

    name = "exchange"

    def __init__(self, *, half_btc: float = 500.0, window: int = WINDOW, most: int = 100) -> None:
        self._half_btc = positive("half_btc", half_btc)
        self._window = window_of("window", window)
        self._most = whole("most", most)

    def process(self, features: BlockFeatures, history: History | None) -> Output:
        """Flows by exchange and of all, whale ratio, unusual net flow."""
        if not labelled(features):
            return Output([])
        flows = of_kind(features, Kind.EXCHANGE)
        quality = label_quality(flows, _volume) * features.completeness
        totals = self._totals(flows, quality)
        metrics = [*totals, *_whale_ratio(features, flows, quality)]
        if history is not None:
            metrics += self._unusual(totals.net, history)
        for flow in largest(flows, _volume, self._most):
            metrics += self._of(flow, features)
        return Output(metrics)

    def _totals(self, flows: list[EntityFlow], quality: float) -> _Sums:
        inflow, outflow = sum(f.inflow_sat for f in flows), sum(f.outflow_sat for f in flows)
        known = {
            "exchanges": len(flows),
            "internal_btc": btc(sum(flow.internal_in_sat for flow in flows)),
        }
        return self._sums("", inflow, outflow, inflow - outflow, quality, known)

    def _of(self, flow: EntityFlow, features: BlockFeatures) -> _Sums:
        known = {
            "inflow_txs": flow.inflow_txs,
            "internal_in_btc": btc(flow.internal_in_sat),
            "internal_out_btc": btc(flow.internal_out_sat),
            "outflow_txs": flow.outflow_txs,
        }
        quality = flow.confidence * features.completeness
        net, name = flow.balance_change_sat, ":" + subject(flow.entity)
        return self._sums(name, flow.inflow_sat, flow.outflow_sat, net, quality, known)

    def _sums(
        self, suffix: str, inflow: int, outflow: int, net: int, quality: float, known: Mapping[str, object]
    ) -> _Sums:
        gross = max(inflow + outflow, abs(net))
        share = net / gross if gross else 0.0
        return _Sums(
            inflow=self._flow("inflow", suffix, inflow, quality, known),
            outflow=self._flow("outflow", suffix, outflow, quality, known),
            net=Metric(f"exchange.netflow_btc{suffix}", btc(net), share, quality, dict(known)),
        )

    def _flow(
        self, metric: str, suffix: str, sat: int, quality: float, known: Mapping[str, object]
    ) -> Metric:
        score = saturating(btc(sat), self._half_btc)
        return Metric(f"exchange.{metric}_btc{suffix}", btc(sat), score, quality, dict(known))

    def _unusual(self, net: Metric, history: History) -> list[Metric]:
        z = robust_z(net.value, history.values(net.name, self._window))
        if z is None:
            return []
        score = max(-1.0, min(1.0, z / UNUSUAL_FULL))
        return [Metric("exchange.netflow_z", z, score, net.quality, {"netflow_btc": net.value})]


def _volume(flow: EntityFlow) -> int:
    return flow.inflow_sat + flow.outflow_sat + flow.internal_in_sat + flow.internal_out_sat


def _whale_ratio(features: BlockFeatures, flows: list[EntityFlow], quality: float) -> list[Metric]:
    inflow = sum(flow.inflow_sat for flow in flows)
    if not inflow:
        return []
    ratio = min(1.0, sum(features.top_exchange_inflows_sat) / inflow)
    known = {"top": len(features.top_exchange_inflows_sat)}
    return [Metric("exchange.whale_ratio", ratio, ratio, quality, known)]
