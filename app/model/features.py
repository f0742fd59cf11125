"""A record of `block-features`: what the processors need of a block, computed once, in satoshi."""

from enum import StrEnum

import msgspec


class Shape(StrEnum):
    """What a transaction looks like; `app/chain/shapes.py` says how it is told."""

    TRANSFER = "transfer"
    SELF_TRANSFER = "self_transfer"
    """All value returns to its owners."""
    CONSOLIDATION = "consolidation"
    """Many inputs into one or two outputs."""
    COINJOIN = "coinjoin"
    """Many owners' coins, mixed."""


class Transfer(msgspec.Struct, frozen=True, gc=False):
    """A large transaction: value (sat) of its outputs that go to none of its inputs' owners."""

    txid: str
    value_sat: int
    shape: Shape = Shape.TRANSFER


class ShapeSum(msgspec.Struct, gc=False):
    """Transactions of one shape: how many, and their value without change (sat); of self-transfers, which
    have none, all outputs."""

    txs: int = 0
    value_sat: int = 0


class Histogram(msgspec.Struct, omit_defaults=True):
    """Values of transfers, in bins about a fifth wide (`app/chain/histogram.py`), from the lowest that
    holds one to the highest."""

    first: int = 0
    """Number of the lowest bin."""
    counts: list[int] = []
    sums_sat: list[int] = []


class Pool(msgspec.Struct, frozen=True, gc=False):
    """Who found the block, and what told: `address` (a payout's), `tag` (the coinbase's text) or `none`."""

    name: str = "unknown"
    basis: str = "none"
    confidence: float = 1.0
    """Of the label, 0..1; 1 for `unknown`, which claims nothing."""


class EntityFlow(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One labelled owner's coins in one block (sat), over all transactions, the coinbase included.

    Its balance changes by `received_sat - spent_sat`, which is always
    `inflow_sat + internal_in_sat - outflow_sat - internal_out_sat`.
    """

    entity: str
    kind: str
    """exchange, miner, treasury or other."""
    confidence: float
    """Lowest confidence of the labels that were used, 0..1."""
    received_sat: int = 0
    """All outputs to it, ..."""
    spent_sat: int = 0
    """... all inputs from it: its own change is in both."""
    inflow_sat: int = 0
    """Sum over transactions of received - spent where that is positive, without what came from other
    exchanges; ..."""
    outflow_sat: int = 0
    """... of spent - received, its share of the fee included, without what went to other exchanges."""
    internal_in_sat: int = 0
    """Between exchanges: taken out of inflow, ..."""
    internal_out_sat: int = 0
    """... and of outflow. Over all entities both are the same."""
    inflow_txs: int = 0
    """Transactions with an inflow."""
    outflow_txs: int = 0
    old_spent_sat: int = 0
    """Inputs from it older than 365 days."""

    @property
    def balance_change_sat(self) -> int:
        """What the block added to its coins."""
        return self.received_sat - self.spent_sat


class BlockFeatures(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Sums and distributions over one block; fee rates in sat/vB (vsize = weight / 4, not rounded up).

    Where prevouts are missing, sums are lower bounds over the transactions that could be computed, and
    `completeness`, `fee_completeness` and `age_completeness` say how much that was.
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
    age_completeness: float = 1.0
    """Share of inputs whose prevout said at which height it was made, the coinbase's left out."""

    tx_count: int
    """Transactions, coinbase included."""
    input_count: int = 0
    """Inputs, the coinbase's left out."""
    output_count: int = 0
    """Outputs, the coinbase's included."""
    weight: int
    size: int
    total_weight: int = 0
    """Weight of the transactions, the coinbase left out."""
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
    pool: Pool = Pool()
    """By the largest payout with a known address, else by the coinbase's text."""

    transfer_sat: int
    """Sum over the transactions of shape `transfer` of the value that is not change."""
    shapes: dict[Shape, ShapeSum] = {}
    """Transactions with all prevouts by shape; shapes without any are left out."""
    transfers: Histogram = msgspec.field(default_factory=Histogram)
    """Values of the transactions of shape `transfer`, those that moved nothing left out."""
    large_transfers: list[Transfer]
    """Transactions of any shape of at least 10 BTC without change, largest first."""

    entities: list[EntityFlow] = []
    """Of the labelled owners that took part, by name; empty without labels."""
    top_exchange_inflows_sat: list[int] = []
    """The ten largest inflows to exchanges, each summed over one transaction, largest first."""

    aged_sat: int = 0
    """Sum of the inputs whose age is known."""
    old_spent_sat: int = 0
    """Of these, the inputs older than 365 days (52,560 blocks)."""
    coin_days_destroyed: float
    """BTC x days: sum over inputs of value x age, age = (height - prevout height) / 144."""


FEATURES_DECODER = msgspec.json.Decoder(BlockFeatures)
