"""Files of `bitcoinetl export_blocks_and_transactions`: read in one pass, a block at a time in memory.

Both files are JSON lines in order of block: the transactions of a block stand together, in the order of the
blocks. What Bitcoin ETL doesn't write: the height of spent outputs (coins have no age), weights of
transactions (`weight_of`), and mostly the hash of the previous block, taken from the line before.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from app.errors import ConfigurationError, ContractError
from app.model.block import Hash, Height, Sat, Txid, Weight, btc
from app.model.wire import decode
from app.sources.trim import Input, Output, Script, Spent, Transaction, TrimmedBlock
from app.streaming.topics import BLOCK_BYTES

T = TypeVar("T")

NO_ADDRESS = "nonstandard"
"""Bitcoin ETL makes up an address that begins so for scripts that have none."""


class EtlPut(msgspec.Struct, gc=False):
    """An input or output; `value` in satoshi (missing in inputs unless the export was enriched)."""

    addresses: list[str] | None = None
    value: Sat | None = None


class EtlTransaction(msgspec.Struct, gc=False):
    """A line of transactions.json; `fee` in satoshi, `size` in bytes, `virtual_size` in vB."""

    hash: Txid
    block_hash: Hash
    size: int
    virtual_size: int
    outputs: list[EtlPut]
    inputs: list[EtlPut] = []
    is_coinbase: bool = False
    index: int | None = None


class EtlBlock(msgspec.Struct, gc=False):
    """A line of blocks.json."""

    hash: Hash
    number: Height
    timestamp: int
    size: int
    weight: Weight
    transaction_count: int
    coinbase_param: str
    previous_block_hash: Hash | None = None


_BLOCK = msgspec.json.Decoder(EtlBlock)
_TRANSACTION = msgspec.json.Decoder(EtlTransaction)


class Line(NamedTuple):
    """A line with what is said of it in errors."""

    where: str
    text: bytes


def read_export(blocks: Path, transactions: Path, *, after: int = -1) -> Iterator[TrimmedBlock]:
    """The blocks above height `after`, in the order of the file.

    Raises ConfigurationError for a file that can't be read, ContractError that names file and line.
    """
    groups = _Groups(_lines(transactions))
    previous: EtlBlock | None = None
    for line in _lines(blocks):
        block = decode(_BLOCK, line.text, f"{line.where}: block")
        txs = groups.take(block)
        if block.number > after:
            yield block_of(block, txs, previous)
        previous = block


class _Groups:
    """Transactions by block, one group after the other."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._next: EtlTransaction | None = None
        self._where = "transactions"

    def take(self, block: EtlBlock) -> list[EtlTransaction]:
        """Those of the block, which must come next. Raises ContractError."""
        found: list[EtlTransaction] = []
        while (tx := self._peek()) is not None and tx.block_hash == block.hash:
            found.append(tx)
            self._next = None
        if len(found) != block.transaction_count:
            raise ContractError(
                f"block {block.number} has {block.transaction_count} transactions, {len(found)} of them come "
                f"next, up to {self._where}: sort both files by block number, and export both for one range"
            )
        return found

    def _peek(self) -> EtlTransaction | None:
        if self._next is None:
            line = next(self._lines, None)
            if line is not None:
                self._where = line.where
                self._next = decode(_TRANSACTION, line.text, f"{line.where}: transaction")
        return self._next


def _lines(path: Path) -> Iterator[Line]:
    try:
        with path.open("rb") as file:
            for number, text in enumerate(iter(lambda: file.readline(BLOCK_BYTES + 1), b""), 1):
                if len(text) > BLOCK_BYTES:
                    raise ContractError(f"{path} line {number} is over {BLOCK_BYTES:,} bytes: export it anew")
                if text.strip():
                    yield Line(f"{path} line {number}", text)
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror or error}") from error


def block_of(block: EtlBlock, txs: list[EtlTransaction], previous: EtlBlock | None) -> TrimmedBlock:
    """The block as Bitcoin Core gives it; `previous` is the one before it in the file. Pure."""
    parent = block.previous_block_hash
    if parent is None and previous is not None and previous.number == block.number - 1:
        parent = previous.hash
    ordered = sorted(txs, key=lambda tx: (not tx.is_coinbase, tx.index or 0))
    return TrimmedBlock(
        hash=block.hash,
        height=block.number,
        time=block.timestamp,
        weight=block.weight,
        size=block.size,
        tx=[_transaction(tx, block.coinbase_param) for tx in ordered],
        nTx=block.transaction_count,
        previousblockhash=parent,
    )


def weight_of(size: int, virtual_size: int) -> int:
    """A transaction's weight from its size and vsize: exact, or 3 weight units too low.

    Weight is 3 x stripped size + size, so it differs from size by a multiple of 3; and it is one of the
    four numbers that round up to vsize. Without witness both sizes are equal and so tell it exactly;
    otherwise one of the four fits, or the first and the last: then the lower is taken, so that a block's
    transactions never weigh more than the block.
    """
    if size == virtual_size:
        return 4 * size
    return next(
        weight for weight in range(4 * virtual_size - 3, 4 * virtual_size) if (weight - size) % 3 == 0
    )


def _transaction(tx: EtlTransaction, coinbase_param: str) -> Transaction:
    vin = [Input(coinbase=coinbase_param)] if tx.is_coinbase else [_input(put) for put in tx.inputs]
    return Transaction(
        txid=tx.hash,
        weight=weight_of(tx.size, tx.virtual_size),
        vin=vin,
        vout=[Output(btc(put.value or 0), _script(put)) for put in tx.outputs],
        fee=None if tx.is_coinbase else _fee(tx),
    )


def _fee(tx: EtlTransaction) -> float | None:
    """Inputs minus outputs. The field `fee` says so, too, and where inputs have no values, it is wrong."""
    values = [put.value for put in tx.inputs]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return btc(sum(known) - sum(put.value or 0 for put in tx.outputs))


def _input(put: EtlPut) -> Input:
    return Input() if put.value is None else Input(prevout=Spent(btc(put.value), _script(put)))


def _script(put: EtlPut) -> Script:
    """The address, as Bitcoin Core tells it: of bare multisig (several) and of other scripts, none."""
    match put.addresses or ():
        case [address] if not address.startswith(NO_ADDRESS):
            return Script(address)
    return Script()
