"""A record of `block-features`: what the processors need of a block, computed once, in satoshi."""

import msgspec


class Transfer(msgspec.Struct, frozen=True, gc=False):
    """A large transaction: value (sat) of its outputs that go to none of its inputs' addresses."""

    txid: str
    value_sat: int


class BlockFeatures(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Sums and distributions over one block; fee rates in sat/vB (vsize = weight / 4, not rounded up).

    Where prevouts are missing, sums are lower bounds over the transactions that could be computed, and
    `completeness` and `fee_completeness` say how much that was.
    """

    chain: str
    """Symbol of the chain's signals: BTC, BTC-SIM."""
    height: int
    hash: str
    previousblockhash: str | None = None
    time: int
    """Header time, seconds since 1970."""
    labels: str = ""
    """Version of the labels that addresses were attributed by."""
    isolated: bool = False
    """A single block out of context: its signals use no history, and it enters none."""
    completeness: float = 1.0
    """Share of inputs whose prevout was there, the coinbase's left out; 1 for a block without any."""
    fee_completeness: float = 1.0
    """Share of transactions whose fee was stated or could be computed, the coinbase left out."""

    tx_count: int
    """Transactions, coinbase included."""
    weight: int
    size: int
    total_fee_sat: int
    """Sum of the fees of all transactions but the coinbase."""
    subsidy_sat: int
    """By height: 50 BTC, halved every 210,000 blocks."""
    coinbase_value_sat: int
    """Sum of the coinbase transaction's outputs."""
    feerate_percentiles: list[float]
    """10th, 25th, 50th, 75th, 90th percentile of fee rate (sat/vB) by weight, as `getblockstats` defines
    them but not rounded down; empty where no fee is known."""
    coinbase_script: str
    """scriptSig of the coinbase, hex."""
    payout_addresses: list[str]
    """Addresses of the coinbase outputs, by value, largest first."""
    transfer_sat: int
    """Sum over transactions of the value that is not change."""
    large_transfers: list[Transfer]
    """Transactions of at least 100 BTC without change, largest first."""
    coin_days_destroyed: float
    """BTC x days: sum over inputs of value x age, age = (height - prevout height) / 144."""


FEATURES_DECODER = msgspec.json.Decoder(BlockFeatures)
