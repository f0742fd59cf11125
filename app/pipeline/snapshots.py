"""A mempool snapshot's signals. Pure: of one record, without history."""

import msgspec
import orjson

from app.model.keys import canonical_symbol, ts_of
from app.model.mempool import MempoolSnapshot
from app.model.signal import Signal, SignalBatch
from app.processors.base import Metric
from app.processors.confidence import confidence
from app.processors.history import WINDOW
from app.processors.run import PROVIDER
from app.processors.snapshot import snapshot_metrics

KIND = "mempool"


def snapshot_batch(snapshot: MempoolSnapshot, *, version: int, correlation_id: str) -> SignalBatch:
    """Its signals, at the time of the snapshot. Raises ContractError for what is no symbol or no time."""
    return SignalBatch(
        provider=PROVIDER,
        symbol=canonical_symbol(snapshot.chain),
        ts=ts_of("time", snapshot.time),
        signals=[_signal(metric, version) for metric in snapshot_metrics(snapshot)],
        correlation_id=correlation_id,
    )


def _signal(metric: Metric, version: int) -> Signal:
    return Signal(
        name=metric.name,
        value=metric.value,
        score=metric.score,
        confidence=confidence(None, blocks=0, window=WINDOW, quality=metric.quality),
        metadata=msgspec.Raw(orjson.dumps(metric.metadata, option=orjson.OPT_SORT_KEYS)),
        signal_type=KIND,
        version=version,
    )
