"""Blocks trimmed to what the contract needs. Pure.

Decoded into these structs, everything else (witness, hex, asm, scriptSig) is skipped while reading.
Amounts stay what they are: a decimal number read as a double is written as the shortest text that reads
as the same double.
"""

from typing import Annotated

import msgspec

from app.errors import ContractError
from app.model.block import Btc, Hash, Height, Txid, Weight
from app.model.keys import canonical_symbol
from app.sources.ingest import BlockRecord
from app.streaming.topics import BLOCK_BYTES


class Script(msgspec.Struct, gc=False, omit_defaults=True):
    """As `app.model.block.ScriptPubKey`, written without what is missing."""

    address: str | None = None


class Spent(msgspec.Struct, gc=False, omit_defaults=True):
    """A `prevout`."""

    value: Btc
    scriptPubKey: Script  # noqa: N815 - Bitcoin Core's name
    height: Height | None = None


class Input(msgspec.Struct, gc=False, omit_defaults=True):
    """A `vin`."""

    coinbase: str | None = None
    prevout: Spent | None = None


class Output(msgspec.Struct, gc=False):
    """A `vout`."""

    value: Btc
    scriptPubKey: Script  # noqa: N815 - Bitcoin Core's name


class Transaction(msgspec.Struct, gc=False, omit_defaults=True):
    """A `tx`; `fee` in BTC."""

    txid: Txid
    weight: Weight
    vin: Annotated[list[Input], msgspec.Meta(min_length=1)]
    vout: Annotated[list[Output], msgspec.Meta(min_length=1)]
    fee: Btc | None = None


class TrimmedBlock(msgspec.Struct, gc=False, omit_defaults=True):
    """What is kept of `getblock <hash> 3`."""

    hash: Hash
    height: Height
    time: int
    weight: Weight
    size: int
    tx: Annotated[list[Transaction], msgspec.Meta(min_length=1)]
    nTx: int | None = None  # noqa: N815 - Bitcoin Core's name
    previousblockhash: Hash | None = None
    confirmations: int | None = None
    """-1: of a stale branch. True at one moment only, so it is not sent on."""

    def has_prevouts(self) -> bool:
        """Whether the first transaction that spends something says what."""
        return len(self.tx) < 2 or self.tx[1].vin[0].prevout is not None


_ENCODER = msgspec.json.Encoder()


def record_of(block: TrimmedBlock, chain: str) -> BlockRecord:
    """A record of `blocks`. Raises ContractError: over 32 MB even so, or a wrong `chain`."""
    block.confirmations = None
    value = _ENCODER.encode(block)
    if len(value) > BLOCK_BYTES:
        raise ContractError(
            f"block {block.height} has {len(value):,} bytes when trimmed, over {BLOCK_BYTES:,}"
        )
    return BlockRecord(
        canonical_symbol(chain), block.hash, block.height, block.previousblockhash, False, value
    )
