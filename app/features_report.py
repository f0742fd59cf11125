"""What the product computes from one block in a file: `sigstream features FILE`, without any server."""

from pathlib import Path

import orjson
import structlog

from app.chain.extract import extract
from app.config import settings
from app.model.features import BlockFeatures
from app.model.signal import Signal
from app.processors.pools import pool_of
from app.processors.registry import enabled_processors
from app.processors.run import run_processors
from app.sources.files import read_block_file

log = structlog.get_logger()


def report(path: Path, *, chain: str = "BTC") -> dict[str, object]:
    """Figures and signals of a block file, computed as for an isolated block, so without any window.

    Amounts in satoshi, fee rates in sat/vB. Raises what `read_block_file` and `extract` raise.
    """
    features = extract(read_block_file(path), chain=chain, isolated=True)
    ran = run_processors(enabled_processors(settings()), features, None, version=0, correlation_id=None)
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
        "pool": _pool(features),
        "signals": [_signal(signal) for signal in batch.signals],
    }


def _pool(features: BlockFeatures) -> str:
    return pool_of(features.payout_addresses, features.coinbase_script).name


def _signal(signal: Signal) -> dict[str, object]:
    return {
        "name": signal.name,
        "value": signal.value,
        "score": signal.score,
        "confidence": signal.confidence,
        "metadata": orjson.loads(signal.metadata_text() or "{}"),
    }
