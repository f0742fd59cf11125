"""Reading of `block-features`: only the product writes there, and yet one record must not stop a chain."""

from typing import Annotated

import msgspec

from app.errors import ContractError
from app.model.block import Hash, Height, Weight
from app.model.features import FEATURES_DECODER, BlockFeatures
from app.model.keys import canonical_symbol
from app.model.wire import decode

WHAT = "block features"
Amount = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Bounds(msgspec.Struct):
    """What of BlockFeatures is a place in a chain, a key, or a number that tables hold."""

    hash: Hash
    previousblockhash: Hash | None
    height: Height
    time: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
    weight: Weight
    tx_count: Amount
    total_fee_sat: Amount
    subsidy_sat: Amount
    coinbase_value_sat: Amount
    transfer_sat: Amount
    aged_sat: Amount
    old_spent_sat: Amount


def read_features(value: bytes | None) -> BlockFeatures:
    """Raises ContractError; a block without a hash of its own would lead the chain in circles."""
    features = decode(FEATURES_DECODER, value, WHAT)
    canonical_symbol(features.chain)
    try:
        msgspec.convert(features, _Bounds, from_attributes=True)
        msgspec.json.encode(features)
    except (msgspec.ValidationError, OverflowError) as error:
        raise ContractError(f"{WHAT}: {error}") from None
    return features


def read_chain(key: bytes | None) -> str:
    """Symbol of the chain, of a tick's key. Raises ContractError."""
    return canonical_symbol((key or b"").decode(errors="backslashreplace"))
