"""What moves in a block's transactions: fees, value without change, coin age. Pure, and the hot loop."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.errors import ContractError
from app.model.block import MAX_MONEY_SAT, SATOSHI_PER_BTC, Tx, Vin, Vout, satoshi
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
    """Flows of `txs`, a block's transactions but the coinbase. Raises ContractError for what can't be:
    outputs above inputs, a stated fee that is another, an input younger than the block."""
    flows = Flows()
    fees, weights = flows.fees_sat, flows.weights
    for tx in txs:
        spent, coin_blocks, missing, owners = _spend(tx.vin, height)
        paid, moved = _pay(tx.vout, owners)
        fee = _fee(tx, spent, paid) if not missing else _stated_fee(tx)
        flows.inputs += len(tx.vin)
        flows.coin_blocks_sat += coin_blocks
        if missing:
            flows.inputs_missing += missing
        else:
            flows.transfer_sat += moved
            if moved >= LARGE_TRANSFER_SAT:
                flows.large.append(Transfer(_checked_txid(tx.txid), moved))
        if fee is not None:
            fees.append(fee)
            weights.append(tx.weight)
    return flows


def _spend(vin: Sequence[Vin], height: int) -> tuple[int, int, int, set[str | None]]:
    """Value (sat), value x age (sat x blocks), number of missing prevouts, addresses."""
    spent = coin_blocks = missing = 0
    owners: set[str | None] = set()
    for txin in vin:
        prevout = txin.prevout
        if prevout is None:
            missing += _missing(txin)
            continue
        age = height - prevout.height
        if age < 0:
            raise ContractError(
                f"block at height {height} spends an output of height {prevout.height}, which is not there "
                "yet: send what `getblock <hash> 3` gives"
            )
        value = round(prevout.value * 1e8)  # `satoshi`, inlined: a call an input is 10 % of the whole
        spent += value
        coin_blocks += value * age
        owners.add(prevout.scriptPubKey.address)
    owners.discard(None)
    return spent, coin_blocks, missing, owners


def _pay(vout: Sequence[Vout], owners: set[str | None]) -> tuple[int, int]:
    """Value (sat) of all outputs, and of those whose address is none of `owners`.

    An output without an address is nobody's change: bare multisig and pay-to-pubkey count as paid.
    """
    paid = moved = 0
    for output in vout:
        value = round(output.value * 1e8)
        paid += value
        if output.scriptPubKey.address not in owners:
            moved += value
    return paid, moved


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


def _stated_fee(tx: Tx) -> int | None:
    return None if tx.fee is None else satoshi(tx.fee)


def _missing(txin: Vin) -> int:
    if txin.coinbase is not None:
        raise ContractError("a transaction other than the first has a `coinbase` input: one a block, first")
    return 1


def _checked_txid(txid: str) -> str:
    """A txid that goes further, into metadata of signals."""
    try:
        bytes.fromhex(txid)
    except ValueError:
        raise ContractError(f"txid {txid!r} is not hexadecimal") from None
    return txid
