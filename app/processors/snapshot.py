"""What waits for a block: signals of a mempool snapshot. Pure; between blocks, so without any window."""

from app.model.mempool import MempoolSnapshot
from app.processors.base import Metric, saturating
from app.processors.mempool import FEERATE_HALF

BLOCK_VSIZE = 1_000_000
"""Virtual bytes in a block: 4,000,000 weight units, the limit of BIP 141."""
BACKLOG_HALF = 5.0
"""Blocks of backlog at which its score is 0.5."""


def snapshot_metrics(snapshot: MempoolSnapshot) -> list[Metric]:
    """Metrics of one node's mempool at one moment:

    - `mempool.backlog_blocks` (blocks): what waits, in vB / 1,000,000;
    - `mempool.fee_floor` (sat/vB): the highest of what the node takes at all (`mempoolminfee`) and the fee
      rate at which the best payers fill one block; to the histogram's bin, its lower edge.
    """
    waiting = snapshot.vsize / BLOCK_VSIZE
    floor = max(snapshot.min_fee, _next_block_feerate(snapshot))
    known = {"tx_count": snapshot.tx_count, "vsize": snapshot.vsize}
    return [
        Metric("mempool.backlog_blocks", waiting, saturating(waiting, BACKLOG_HALF), metadata=known),
        Metric("mempool.fee_floor", floor, saturating(floor, FEERATE_HALF), metadata=known),
    ]


def _next_block_feerate(snapshot: MempoolSnapshot) -> float:
    """0 where all that waits fits into one block."""
    vsize = 0
    for found in sorted(snapshot.histogram, key=lambda found: -found.feerate_low):
        vsize += found.vsize
        if vsize >= BLOCK_VSIZE:
            return found.feerate_low
    return 0.0
