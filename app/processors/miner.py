"""Who finds the blocks, what they earn, and what they do with it."""

from collections import Counter
from collections.abc import Sequence

from app.labels.registry import Kind
from app.model.block import btc
from app.model.features import BlockFeatures, EntityFlow, Pool
from app.processors.base import Metric, Output, saturating
from app.processors.history import MOST, WINDOW, YEAR, History
from app.processors.parameters import ascending, positive, window_of
from app.processors.subjects import label_quality, labelled, of_kind

OUTFLOW = "miner.outflow_sat"
COUNTED = "miner.blocks"
"""Amounts: the sum of outflows, and of how many blocks; blocks without labels are in neither."""
UNKNOWN = Pool().name


class MinerProcessor:
    """Signals `miner.*`:

    - `miner.pool` (0 or 1): whether the pool is known, by the largest payout with a known address, else by
      the text in the coinbase; its name is in the metadata;
    - `miner.fee_share` (0..1): fees / (fees + subsidy);
    - `miner.revenue_btc`: what the coinbase pays out;
    - `miner.empty_block` (0 or 1): nothing but the coinbase in it;
    - `miner.outflow_btc`: sum over labelled miners and transactions of spent - received, where positive;
    - `miner.mpi`: that / its mean over the last 365 days of blocks, or as many as there are (`blocks` in
      the metadata), after CryptoQuant's Miners' Position Index; none before `minimum` blocks, nor while
      nothing has flowed;
    - `miner.pool_hhi:144`, `:1008` (0..1): Herfindahl-Hirschman index, the sum of the pools' squared shares
      in this block and those before it; a block of an unknown pool counts as a pool of its own, so it is
      a lower bound. `miner.pool_top_share:144`, `:1008`: the share of the largest known pool.

    `windows`: blocks of the last two. `half_btc`: BTC at which an outflow's score is 0.5. Raises ValueError.
    """

    name = "miner"
    every_block = True

    def __init__(
        self, *, windows: Sequence[int] = (WINDOW, MOST), half_btc: float = 100.0, minimum: int = 10
    ) -> None:
        ascending("windows", windows, 1)
        self._windows = tuple(window_of("windows", window) for window in windows)
        self._half_btc = positive("half_btc", half_btc)
        self._minimum = window_of("minimum", minimum)

    def process(self, features: BlockFeatures, history: History | None) -> Output:
        """The pool, earnings, outflow, and with history concentration and position index."""
        metrics = [_pool(features.pool), *_earnings(features), _empty(features)]
        if history is not None:
            metrics += self._concentration(features.pool.name, history)
        amounts: dict[str, int] = {}
        if labelled(features):
            outflow = self._outflow(features)
            amounts = {OUTFLOW: sum(map(_spent, of_kind(features, Kind.MINER))), COUNTED: 1}
            metrics += [outflow, *self._position(outflow, amounts[OUTFLOW], history)]
        return Output(metrics, trace=features.pool.name, amounts=amounts)

    def _outflow(self, features: BlockFeatures) -> Metric:
        miners = of_kind(features, Kind.MINER)
        value = btc(sum(map(_spent, miners)))
        quality = label_quality(miners, _spent) * features.completeness
        known = {"miners": sum(1 for flow in miners if flow.outflow_sat)}
        return Metric("miner.outflow_btc", value, saturating(value, self._half_btc), quality, known)

    def _position(self, outflow: Metric, sat: int, history: History | None) -> list[Metric]:
        sums, _ = history.sums(YEAR) if history is not None else ({}, 0)
        blocks, total = sums.get(COUNTED, 0), sums.get(OUTFLOW, 0)
        if blocks < self._minimum or total <= 0:
            return []
        ratio = sat * blocks / total
        known = {"blocks": blocks, "mean_btc": btc(total) / blocks}
        return [Metric("miner.mpi", ratio, (ratio - 1) / (ratio + 1), outflow.quality, known)]

    def _concentration(self, pool: str, history: History) -> list[Metric]:
        metrics: list[Metric] = []
        for window in self._windows:
            earlier: list[str] = history.traces(self.name, window - 1) if window > 1 else []
            pools = [*earlier, pool]
            if len(pools) >= self._minimum:
                metrics += _shares(pools, window)
        return metrics


def _spent(flow: EntityFlow) -> int:
    return flow.outflow_sat


def _pool(pool: Pool) -> Metric:
    known = 0.0 if pool.basis == "none" else 1.0
    return Metric("miner.pool", known, known, pool.confidence, {"basis": pool.basis, "pool": pool.name})


def _earnings(features: BlockFeatures) -> list[Metric]:
    allowed = features.subsidy_sat + features.total_fee_sat
    if not allowed:
        return []
    share = features.total_fee_sat / allowed
    revenue = features.coinbase_value_sat
    parts = {"fee_sat": features.total_fee_sat, "subsidy_sat": features.subsidy_sat}
    return [
        Metric("miner.fee_share", share, share, features.fee_completeness, parts),
        Metric("miner.revenue_btc", btc(revenue), min(1.0, revenue / allowed), 1.0, parts),
    ]


def _empty(features: BlockFeatures) -> Metric:
    empty = 1.0 if features.tx_count == 1 else 0.0
    return Metric("miner.empty_block", empty, empty)


def _shares(pools: list[str], window: int) -> list[Metric]:
    counts = Counter(pools)
    unknown, whole = counts.pop(UNKNOWN, 0), len(pools)
    top, most = min(counts.items(), key=lambda item: (-item[1], item[0]), default=(UNKNOWN, 0))
    hhi = (sum(count * count for count in counts.values()) + unknown) / (whole * whole)
    quality = (whole - unknown) / window
    known = {"blocks": whole, "pool": top, "unknown": unknown}
    return [
        Metric(f"miner.pool_hhi:{window}", hhi, hhi, quality, known),
        Metric(f"miner.pool_top_share:{window}", most / whole, most / whole, quality, known),
    ]
