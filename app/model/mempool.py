"""A record of `mempool`: what waits for a block, as a node saw it at one moment. Key: the chain."""

from typing import Annotated

import msgspec

from app.model.signal import Time

FEERATE_BINS: tuple[float, ...] = (
    *(0.0, 0.1, 0.2, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0),
    *(40.0, 50.0, 60.0, 80.0, 100.0, 125.0, 150.0, 200.0, 250.0, 300.0, 400.0, 500.0, 750.0, 1000.0, 2000.0),
)
"""Lower edges of the histogram's bins in sat/vB: steps of 20 to 50 %, as fee markets move in ratios. A bin
reaches up to the next edge, which is the next one's; the last has no end."""


Count = Annotated[int, msgspec.Meta(ge=0, le=2**52)]
"""More than all coins in satoshi; sums of a thousand have 64 bits."""


class FeerateBin(msgspec.Struct, frozen=True, array_like=True):
    """Transactions whose own fee rate lies in one bin: `[feerate_low, vsize, fee_sat]`."""

    feerate_low: float
    """Lower edge, sat/vB; one of `FEERATE_BINS`."""
    vsize: Count
    """Sum of their virtual sizes, vB."""
    fee_sat: Count
    """Sum of their fees, without what `prioritisetransaction` adds."""


class MempoolSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """`tx_count`, `vsize` and `total_fee_sat` are the sums of the histogram's transactions."""

    chain: str
    time: Time
    """When the node was asked."""
    tx_count: Count
    vsize: Count
    """vB."""
    total_fee_sat: Count
    min_fee: float
    """sat/vB below which the node takes nothing (`mempoolminfee`)."""
    histogram: Annotated[list[FeerateBin], msgspec.Meta(max_length=1000)]
    """Bins that hold something, ascending."""
    estimates: dict[str, float]
    """`estimatesmartfee`: target in blocks ("1", "3", "6", "144") -> sat/vB; one is missing where the
    node has seen too little to tell."""


MEMPOOL_DECODER = msgspec.json.Decoder(MempoolSnapshot)
MEMPOOL_ENCODER = msgspec.json.Encoder()
