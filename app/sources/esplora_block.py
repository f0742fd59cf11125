"""Esplora's blocks in the shape of `getblock <hash> 3`. Pure.

Amounts are satoshi there and BTC here, exact to the satoshi. Esplora does not tell at which height a spent
output was made: prevouts come without, and coins without an age.
"""

import msgspec

from app.errors import ContractError
from app.model.block import Hash, Height, Sat, Txid, Weight, btc
from app.sources.trim import Input, Output, Script, Spent, Transaction, TrimmedBlock


class EsploraOutput(msgspec.Struct, gc=False):
    """An output, created or spent; `value` in satoshi."""

    value: Sat
    scriptpubkey_address: str | None = None


class EsploraInput(msgspec.Struct, gc=False):
    """An input; of the coinbase, `scriptsig` (hex) is kept."""

    is_coinbase: bool = False
    scriptsig: str = ""
    prevout: EsploraOutput | None = None


class EsploraTx(msgspec.Struct, gc=False):
    """A transaction; `fee` in satoshi, 0 for the coinbase."""

    txid: Txid
    weight: Weight
    vin: list[EsploraInput]
    vout: list[EsploraOutput]
    fee: Sat = 0


class EsploraBlock(msgspec.Struct, gc=False):
    """A block without its transactions."""

    id: Hash
    height: Height
    timestamp: int
    tx_count: int
    size: int
    weight: Weight
    previousblockhash: Hash | None = None


def block_of(block: EsploraBlock, txs: list[EsploraTx]) -> TrimmedBlock:
    """The block as Bitcoin Core gives it. Raises ContractError when transactions are missing."""
    if len(txs) != block.tx_count:
        raise ContractError(
            f"block {block.height}: the server has {block.tx_count} transactions, gave {len(txs)}: ask again"
        )
    return TrimmedBlock(
        hash=block.id,
        height=block.height,
        time=block.timestamp,
        weight=block.weight,
        size=block.size,
        tx=[_transaction(tx) for tx in txs],
        nTx=block.tx_count,
        previousblockhash=block.previousblockhash,
    )


def _transaction(tx: EsploraTx) -> Transaction:
    coinbase = tx.vin[0].is_coinbase
    return Transaction(
        txid=tx.txid,
        weight=tx.weight,
        vin=[_input(txin) for txin in tx.vin],
        vout=[Output(btc(output.value), Script(output.scriptpubkey_address)) for output in tx.vout],
        fee=None if coinbase else btc(tx.fee),
    )


def _input(txin: EsploraInput) -> Input:
    if txin.is_coinbase:
        return Input(coinbase=txin.scriptsig)
    if txin.prevout is None:
        return Input()
    return Input(prevout=Spent(btc(txin.prevout.value), Script(txin.prevout.scriptpubkey_address)))
