"""What the product computes from one block in a file: `sigstream features FILE`, without any server."""

from pathlib import Path

import msgspec
import orjson
import structlog

from app.chain.extract import extract
from app.config import Settings
from app.labels.files import load_labels
from app.model.signal import Signal
from app.processors.registry import enabled_processors
from app.processors.run import run_processors
from app.sources.files import read_block_file

log = structlog.get_logger()


def report(settings: Settings, path: Path, *, chain: str = "BTC") -> dict[str, object]:
    """Figures and signals of a block file, computed as for an isolated block, so without any window.

    Amounts in satoshi, fee rates in sat/vB; owners by the labels of the settings. Raises what
    `read_block_file`, `load_labels` and `extract` raise.
    """
    labels = load_labels(settings.labels).labels
    features = extract(read_block_file(path), chain=chain, isolated=True, labels=labels)
    ran = run_processors(enabled_processors(settings), features, None, version=0, correlation_id=None)
    for name, error in ran.failures.items():
        log.error("processor failed", processor=name, error=str(error))
    batch = ran.batch
    return {
        "chain": features.chain,
        "height": features.height,
        "hash": features.hash,
        "ts": batch.ts,
        "tx_count": features.tx_count,
        "weight": features.weight,
        "total_fee_sat": features.total_fee_sat,
        "subsidy_sat": features.subsidy_sat,
        "coinbase_value_sat": features.coinbase_value_sat,
        "completeness": features.completeness,
        "fee_completeness": features.fee_completeness,
        "feerate_percentiles": features.feerate_percentiles,
        "age_completeness": features.age_completeness,
        "labels": features.labels,
        "pool": features.pool.name,
        "shapes": {shape.value: part.txs for shape, part in features.shapes.items()},
        "entities": msgspec.to_builtins(features.entities),
        "signals": [_signal(signal) for signal in batch.signals],
    }


def _signal(signal: Signal) -> dict[str, object]:
    return {
        "name": signal.name,
        "value": signal.value,
        "score": signal.score,
        "confidence": signal.confidence,
        "metadata": orjson.loads(signal.metadata_text() or "{}"),
    }
