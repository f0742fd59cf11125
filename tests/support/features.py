"""Made-up features of a block, and a history of made-up blocks, for tests of processors."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.model.features import BlockFeatures, EntityFlow, Histogram, Pool, Shape, ShapeSum, Transfer
from app.processors.base import Metric, Output, Processor
from app.processors.history import History, Past, kept

BTC = 100_000_000


def features(**changes: object) -> BlockFeatures:
    """Features of a made-up block: 3.125 BTC subsidy, 0.625 BTC fees, half full, labels known."""
    usual: dict[str, object] = {
        "chain": "BTC-SIM",
        "height": 880_000,
        "hash": "ab" * 32,
        "time": 1_700_000_000,
        "labels": "v1",
        "tx_count": 7,
        "weight": 2_000_000,
        "size": 700_000,
        "total_fee_sat": 62_500_000,
        "subsidy_sat": 312_500_000,
        "coinbase_value_sat": 375_000_000,
        "feerate_percentiles": [1.0, 2.0, 20.0, 60.0, 180.0],
        "coinbase_script": b"/nobody/".hex(),
        "payout_addresses": ["sim1q"],
        "pool": Pool("AntPool", "tag", 0.9),
        "transfer_sat": 4000 * BTC,
        "shapes": {Shape.TRANSFER: ShapeSum(5, 4000 * BTC), Shape.COINJOIN: ShapeSum(1, 50 * BTC)},
        "transfers": Histogram(100, [4, 1], [100, 50]),
        "large_transfers": [
            Transfer("aa" * 32, 2000 * BTC, Shape.CONSOLIDATION),
            Transfer("cc" * 32, 1000 * BTC),
            Transfer("dd" * 32, 600 * BTC),
            Transfer("ee" * 32, 100 * BTC),
        ],
        "aged_sat": 500 * BTC,
        "coin_days_destroyed": 100_000.0,
    }
    return BlockFeatures(**(usual | changes))  # type: ignore[arg-type]


def flow(entity: str, kind: str = "exchange", confidence: float = 1.0, **sums: int) -> EntityFlow:
    """Flow of an owner; `sums` in BTC, by the field's name without `_sat`; txs as they are."""
    scaled = {
        name if name.endswith("_txs") else f"{name}_sat": value if name.endswith("_txs") else value * BTC
        for name, value in sums.items()
    }
    return EntityFlow(entity=entity, kind=kind, confidence=confidence, **scaled)


def history(
    count: int = 0,
    *,
    values: Mapping[str, Sequence[float]] | None = None,
    traces: Mapping[str, Sequence[Any]] | None = None,
    totals: Mapping[str, int] | None = None,
) -> History:
    """`count` blocks, oldest first; the last has the `totals`, each the value and trace of its turn."""
    pasts = [
        Past(
            height=number,
            hash=f"{number:064x}",
            values={name: found[number] for name, found in (values or {}).items()},
            traces={name: kept(found[number]) for name, found in (traces or {}).items()},
            totals=dict(totals or {}),
            blocks=number + 1,
        )
        for number in range(count)
    ]
    return History(pasts)


def by_name(output: Output) -> dict[str, Metric]:
    """Metrics by name, each once."""
    found = {metric.name: metric for metric in output.metrics}
    assert len(found) == len(output.metrics)
    return found


def values(output: Output) -> dict[str, float]:
    """Values by name."""
    return {name: metric.value for name, metric in by_name(output).items()}


def metric(processor: Processor, name: str, block: BlockFeatures, past: History | None = None) -> Metric:
    """The one metric of that name."""
    return by_name(processor.process(block, past))[name]
