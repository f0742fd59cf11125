"""Small Parquet files of `getblockstats` rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from app.model.features import BlockFeatures


def columns_of(blocks: Sequence[BlockFeatures]) -> dict[str, list[Any]]:
    """Rows as Bitcoin Core has them: fee rates rounded down to whole sat/vB."""
    return {
        "height": [block.height for block in blocks],
        "time": [block.time for block in blocks],
        "feerate_percentiles": [[int(rate) for rate in block.feerate_percentiles] for block in blocks],
        "total_weight": [block.weight for block in blocks],
        "txs": [block.tx_count for block in blocks],
        "blockhash": [block.hash for block in blocks],
        "totalfee": [block.total_fee_sat for block in blocks],
        "subsidy": [block.subsidy_sat for block in blocks],
        "total_size": [block.size for block in blocks],
        "maxfeerate": [200 for _ in blocks],
    }


def write_stats(path: Path, columns: dict[str, Any]) -> Path:
    """A Parquet file of these columns."""
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path
