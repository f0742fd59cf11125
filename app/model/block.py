"""A record of `blocks`: Bitcoin Core's `getblock <hash> 3`, the fields that are used.

Field names and meaning are Bitcoin Core's. Witness, hex, asm and scriptSig of inputs other than the
coinbase may be missing. Ranges are checked while decoding, so that no amount outside of 0 to 21 million
BTC and no negative height or weight gets any further; amounts become satoshi at once (`satoshi`).
"""

from typing import Annotated

import msgspec

SATOSHI_PER_BTC = 100_000_000
MAX_MONEY_SAT = 21_000_000 * SATOSHI_PER_BTC
MAX_BLOCK_WEIGHT = 4_000_000

Btc = Annotated[float, msgspec.Meta(ge=0, le=21_000_000)]
"""An amount as Bitcoin Core writes it, in BTC."""
Sat = Annotated[int, msgspec.Meta(ge=0, le=MAX_MONEY_SAT)]
"""An amount in satoshi."""
Height = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Weight = Annotated[int, msgspec.Meta(gt=0, le=MAX_BLOCK_WEIGHT)]
Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Txid = Annotated[str, msgspec.Meta(min_length=64, max_length=64)]
"""Only its length is checked: a pattern would cost more than all the rest."""


class ScriptPubKey(msgspec.Struct, gc=False):
    """`address` is missing for scripts that have none (bare multisig, OP_RETURN, pay-to-pubkey)."""

    address: str | None = None


class Prevout(msgspec.Struct, gc=False):
    """The output that an input spends; `value` in BTC, `height` of the block that made it (None: its age
    is unknown, as some sources don't tell)."""

    value: Btc
    scriptPubKey: ScriptPubKey  # noqa: N815 - Bitcoin Core's name
    height: Height | None = None


class Vin(msgspec.Struct, gc=False):
    """An input; the coinbase transaction's only one has `coinbase` (its scriptSig, hex)."""

    coinbase: str | None = None
    prevout: Prevout | None = None


class Vout(msgspec.Struct, gc=False):
    """An output; `value` in BTC."""

    value: Btc
    scriptPubKey: ScriptPubKey  # noqa: N815 - Bitcoin Core's name


class Tx(msgspec.Struct, gc=False):
    """A transaction; `fee` in BTC (missing for the coinbase), `weight` in weight units."""

    txid: Txid
    weight: Weight
    vin: Annotated[list[Vin], msgspec.Meta(min_length=1)]
    vout: Annotated[list[Vout], msgspec.Meta(min_length=1)]
    fee: Btc | None = None


class Block(msgspec.Struct, gc=False):
    """A block with its transactions, coinbase first; `time` in seconds since 1970."""

    hash: Hash
    height: Height
    time: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
    weight: Weight
    size: Annotated[int, msgspec.Meta(gt=0, le=MAX_BLOCK_WEIGHT)]
    tx: Annotated[list[Tx], msgspec.Meta(min_length=1)]
    nTx: int | None = None  # noqa: N815 - Bitcoin Core's name
    previousblockhash: Hash | None = None


class BlockHeader(msgspec.Struct, frozen=True, gc=False):
    """What a source needs of a block to send it: key and headers of the record."""

    hash: Hash
    height: Height
    previousblockhash: Hash | None = None


BLOCK_DECODER = msgspec.json.Decoder(Block)
HEADER_DECODER = msgspec.json.Decoder(BlockHeader)


def satoshi(btc: float) -> int:
    """Amount in satoshi.

    Rounded, as a double can't hold every amount: 0.29 * 1e8 is 28999999.999999996.
    """
    return round(btc * SATOSHI_PER_BTC)


def btc(sat: int) -> float:
    """Amount in BTC: the double that rounds back to exactly `sat` (below 2^53 of them, it always does)."""
    return sat / SATOSHI_PER_BTC
