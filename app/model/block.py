"""A record of `blocks`: Bitcoin Core's `getblock <hash> 3`, the fields that are used.

Field names and meaning are Bitcoin Core's; amounts come as BTC numbers and become satoshi at once
(`satoshi`). Witness, hex, asm and scriptSig of inputs other than the coinbase may be missing.
"""

import msgspec

from app.errors import ContractError

SATOSHI_PER_BTC = 100_000_000
MAX_MONEY_BTC = 21_000_000.0


class ScriptPubKey(msgspec.Struct, gc=False):
    """`address` is missing for scripts that have none (bare multisig, OP_RETURN, pay-to-pubkey)."""

    type: str = ""
    address: str | None = None


class Prevout(msgspec.Struct, gc=False):
    """The output that an input spends; `value` in BTC, `height` of the block that made it."""

    height: int
    value: float
    scriptPubKey: ScriptPubKey  # noqa: N815 - Bitcoin Core's name
    generated: bool = False


class Vin(msgspec.Struct, gc=False):
    """An input; the coinbase transaction's only one has `coinbase` (its scriptSig, hex)."""

    coinbase: str | None = None
    prevout: Prevout | None = None


class Vout(msgspec.Struct, gc=False):
    """An output; `value` in BTC."""

    value: float
    scriptPubKey: ScriptPubKey  # noqa: N815 - Bitcoin Core's name


class Tx(msgspec.Struct, gc=False):
    """A transaction; `fee` in BTC (missing for the coinbase), `weight` in weight units."""

    txid: str
    weight: int
    vin: list[Vin]
    vout: list[Vout]
    fee: float | None = None


class Block(msgspec.Struct, gc=False):
    """A block with its transactions, coinbase first; `time` in seconds since 1970."""

    hash: str
    height: int
    time: int
    weight: int
    size: int
    tx: list[Tx]
    previousblockhash: str | None = None


BLOCK_DECODER = msgspec.json.Decoder(Block)


def satoshi(btc: float) -> int:
    """Amount in satoshi. Raises ContractError outside of 0 to 21 million BTC.

    Rounded, as a double can't hold every amount: 0.29 * 1e8 is 28999999.999999996.
    """
    if not 0.0 <= btc <= MAX_MONEY_BTC:
        raise ContractError(f"amount {btc!r} BTC is outside of 0 to 21,000,000")
    return round(btc * SATOSHI_PER_BTC)
