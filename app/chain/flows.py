"""What moves in a block's transactions: fees, value without change, coin age. Pure, and the hot loop."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.chain.entities import Ledger
from app.chain.shapes import MIN_INPUTS, shape_of
from app.chain.window import YEAR_BLOCKS
from app.errors import ContractError
from app.labels.registry import NO_LABELS, Labels
from app.model.block import MAX_MONEY_SAT, SATOSHI_PER_BTC, Tx, Vin, satoshi
from app.model.features import EntityFlow, Shape, ShapeSum, Transfer

LARGE_TRANSFER_SAT = 10 * SATOSHI_PER_BTC
"""Least value of a transaction that is kept by itself."""


@dataclass(slots=True)
class Flows:
    """Sums over a block's transactions without the coinbase, in satoshi.

    A transaction with a missing prevout is left out of the transfers, the shapes and the entities (what is
    change can't be told) and, where its fee is not stated, of the fees; its known inputs count for the
    coin age.
    """

    inputs: int = 0
    inputs_missing: int = 0
    inputs_ageless: int = 0
    """Inputs with a prevout that doesn't say its height."""
    fees_sat: list[int] = field(default_factory=list)
    """Of the transactions whose fee is known, ..."""
    weights: list[int] = field(default_factory=list)
    """... and their weights."""
    spent_sat: int = 0
    """All inputs with a prevout, ..."""
    paid_sat: int = 0
    """... and all outputs, the coinbase's left out."""
    transfers_sat: list[int] = field(default_factory=list)
    """Value without change of each transaction of shape `transfer`."""
    shapes: dict[Shape, ShapeSum] = field(default_factory=dict)
    """The other shapes."""
    large: list[Transfer] = field(default_factory=list)
    aged_sat: int = 0
    """Inputs whose age is known, ..."""
    old_spent_sat: int = 0
    """... those older than 365 days, ..."""
    coin_blocks_sat: int = 0
    """... and the sum of value x age, in satoshi x blocks."""
    entities: list[EntityFlow] = field(default_factory=list)
    top_exchange_inflows_sat: list[int] = field(default_factory=list)


def flows_of(txs: Sequence[Tx], height: int, labels: Labels = NO_LABELS) -> Flows:  # noqa: C901
    """Flows of `txs`, a block's transactions, the coinbase first; it counts for the entities only.

    An output without an address is nobody's change: bare multisig and pay-to-pubkey count as paid.
    Raises ContractError for what can't be: outputs above inputs, a stated fee that is another, an input
    of a later block.
    """
    # One long loop, `satoshi` written out: with a call an input and output it takes a quarter longer
    # (bench/extract.py).
    flows = Flows()
    fees, weights, transfers = flows.fees_sat, flows.weights, flows.transfers_sat
    transfer, self_transfer, own = Shape.TRANSFER, Shape.SELF_TRANSFER, ShapeSum()
    known = labels.by_address
    ledger = Ledger(labels)
    ledger.add(txs[0], height, frozenset())
    coin_blocks = unaged = old = ageless = all_spent = all_paid = 0
    for tx in txs[1:]:
        spent = paid = moved = missing = 0
        labelled = False
        owners: set[str | None] = set()
        for txin in tx.vin:
            prevout = txin.prevout
            if prevout is None:
                missing += _missing(txin)
                continue
            value = round(prevout.value * 1e8)
            spent += value
            born = prevout.height
            if born is None:
                ageless += 1
                unaged += value
            else:
                age = height - born
                if age < 0:
                    raise _too_young(tx, height, born)
                coin_blocks += value * age
                if age > YEAR_BLOCKS:
                    old += value
            address = prevout.scriptPubKey.address
            owners.add(address)
            if address in known:
                labelled = True
        owners.discard(None)
        for output in tx.vout:
            value = round(output.value * 1e8)
            paid += value
            address = output.scriptPubKey.address
            if address not in owners:
                moved += value
                if address in known:
                    labelled = True
        all_spent += spent
        all_paid += paid
        if missing:
            _count_incomplete(flows, tx, missing)
            continue
        fee, stated = spent - paid, tx.fee
        if fee < 0 or spent > MAX_MONEY_SAT or (stated is not None and round(stated * 1e8) != fee):
            raise _wrong_fee(tx, spent, paid)
        fees.append(fee)
        weights.append(tx.weight)
        if labelled:
            moved -= ledger.add(tx, height, owners)
        shape, value = transfer, moved
        if not moved:
            shape, value = self_transfer, paid
            own.txs += 1
            own.value_sat += paid
        elif len(tx.vin) < MIN_INPUTS or (shape := shape_of(tx, owners, known)) is transfer:
            transfers.append(moved)
        else:
            _count(flows, shape, moved)
        if value >= LARGE_TRANSFER_SAT:
            flows.large.append(_large(tx, value, shape))
    if own.txs:
        flows.shapes[Shape.SELF_TRANSFER] = own
    flows.inputs = sum([len(tx.vin) for tx in txs[1:]])
    flows.inputs_ageless = ageless
    flows.spent_sat, flows.paid_sat = all_spent, all_paid
    flows.aged_sat, flows.old_spent_sat, flows.coin_blocks_sat = all_spent - unaged, old, coin_blocks
    flows.entities, flows.top_exchange_inflows_sat = ledger.result(), ledger.top_exchange_inflows()
    return flows


def _count(flows: Flows, shape: Shape, value_sat: int) -> None:
    found = flows.shapes.setdefault(shape, ShapeSum())
    found.txs += 1
    found.value_sat += value_sat


def _wrong_fee(tx: Tx, spent: int, paid: int) -> ContractError:
    fee = spent - paid
    if fee < 0 or spent > MAX_MONEY_SAT:
        return ContractError(
            f"transaction {tx.txid} has inputs of {spent} sat and outputs of {paid} sat, which no valid "
            "transaction has: send what `getblock <hash> 3` gives"
        )
    return ContractError(
        f"transaction {tx.txid} states a fee of {tx.fee} BTC, and its inputs minus its outputs are "
        f"{fee} sat: send what `getblock <hash> 3` gives"
    )


def _count_incomplete(flows: Flows, tx: Tx, missing: int) -> None:
    flows.inputs_missing += missing
    if tx.fee is not None:
        flows.fees_sat.append(satoshi(tx.fee))
        flows.weights.append(tx.weight)


def _missing(txin: Vin) -> int:
    if txin.coinbase is not None:
        raise ContractError("a transaction other than the first has a `coinbase` input: one a block, first")
    return 1


def _too_young(tx: Tx, height: int, spent_height: int) -> ContractError:
    return ContractError(
        f"transaction {tx.txid} at height {height} spends an output of height {spent_height}, which is not "
        "there yet: send what `getblock <hash> 3` gives"
    )


def _large(tx: Tx, value_sat: int, shape: Shape) -> Transfer:
    try:
        return Transfer(bytes.fromhex(tx.txid).hex(), value_sat, shape)
    except ValueError:
        raise ContractError(f"txid {tx.txid!r} is not hexadecimal") from None
