"""What moves in a block's transactions: fees, value without change, coin age. Pure, and the hot loop."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.errors import ContractError
from app.model.block import MAX_MONEY_SAT, SATOSHI_PER_BTC, Tx, Vin, satoshi
from app.model.features import Transfer

LARGE_TRANSFER_SAT = 100 * SATOSHI_PER_BTC


@dataclass(slots=True)
class Flows:
    """Sums over a block's transactions without the coinbase, in satoshi.

    A transaction with a missing prevout is left out of `transfer_sat` and `large` (what is change can't
    be told) and, where its fee is not stated, of the fees; its known inputs count for the coin age.
    """

    inputs: int = 0
    inputs_missing: int = 0
    fees_sat: list[int] = field(default_factory=list)
    """Of the transactions whose fee is known, ..."""
    weights: list[int] = field(default_factory=list)
    """... and their weights."""
    transfer_sat: int = 0
    large: list[Transfer] = field(default_factory=list)
    coin_blocks_sat: int = 0
    """Sum over inputs of value x age, in satoshi x blocks."""


def flows_of(txs: Sequence[Tx], height: int) -> Flows:
    """Flows of `txs`, a block's transactions but the coinbase.

    An output without an address is nobody's change: bare multisig and pay-to-pubkey count as paid.
    Raises ContractError for what can't be: outputs above inputs, a stated fee that is another, an input
    of a later block.
    """
    # One long loop, `satoshi` written out: with a call an input and output it takes a quarter longer.
    flows = Flows()
    coin_blocks = transfer = 0
    for tx in txs:
        spent = paid = moved = missing = 0
        owners: set[str | None] = set()
        for txin in tx.vin:
            prevout = txin.prevout
            if prevout is None:
                missing += _missing(txin)
                continue
            age = height - prevout.height
            if age < 0:
                raise _too_young(tx, height, prevout.height)
            value = round(prevout.value * 1e8)
            spent += value
            coin_blocks += value * age
            owners.add(prevout.scriptPubKey.address)
        owners.discard(None)
        for output in tx.vout:
            value = round(output.value * 1e8)
            paid += value
            if output.scriptPubKey.address not in owners:
                moved += value
        if missing:
            _count_incomplete(flows, tx, missing)
            continue
        transfer += moved
        if moved >= LARGE_TRANSFER_SAT:
            flows.large.append(_large(tx, moved))
        flows.fees_sat.append(_fee(tx, spent, paid))
        flows.weights.append(tx.weight)
    flows.inputs = sum([len(tx.vin) for tx in txs])
    flows.coin_blocks_sat = coin_blocks
    flows.transfer_sat = transfer
    return flows


def _fee(tx: Tx, spent: int, paid: int) -> int:
    fee = spent - paid
    if fee < 0 or spent > MAX_MONEY_SAT:
        raise ContractError(
            f"transaction {tx.txid} has inputs of {spent} sat and outputs of {paid} sat, which no valid "
            "transaction has: send what `getblock <hash> 3` gives"
        )
    if tx.fee is not None and round(tx.fee * 1e8) != fee:
        raise ContractError(
            f"transaction {tx.txid} states a fee of {tx.fee} BTC, and its inputs minus its outputs are "
            f"{fee} sat: send what `getblock <hash> 3` gives"
        )
    return fee


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


def _large(tx: Tx, value_sat: int) -> Transfer:
    try:
        return Transfer(bytes.fromhex(tx.txid).hex(), value_sat)
    except ValueError:
        raise ContractError(f"txid {tx.txid!r} is not hexadecimal") from None
