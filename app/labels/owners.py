"""What a label says: who owns an address, or writes a tag into the coinbases it finds."""

import re
import sys
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from app.errors import ConfigurationError

ADDRESS = re.compile(
    r"(?:bc|tb|bcrt)1[ac-hj-np-z02-9]{8,87}|[123mn][1-9A-HJ-NP-Za-km-z]{24,38}|sim1q[0-9a-f]{38}"
)
"""Form of an address of mainnet, of a test network, or of the simulator; checksums are not computed."""
MAX_TEXT = 200
"""Characters of an entity's name or of a source."""
UNSTATED = "unstated"
"""Source of a label whose file names none."""


class Kind(StrEnum):
    """What an owner does."""

    EXCHANGE = "exchange"
    MINER = "miner"
    TREASURY = "treasury"
    OTHER = "other"


KINDS: dict[str, Kind] = {kind.value: kind for kind in Kind}
"""By name: faster than `Kind(name)`."""


class Owner(NamedTuple):
    """Who, what they do, who says so, and how sure that is."""

    entity: str
    kind: Kind
    source: str
    confidence: float
    """0..1."""


Claim = tuple[str | bytes, Owner]
"""An address (str) or a coinbase tag (bytes), and its owner according to one source."""


def checked_address(text: object, where: object) -> str:
    """`text` as Bitcoin Core writes it (bech32 in lower case). Raises ConfigurationError."""
    if isinstance(text, str):
        address = text.strip()
        if address[:4].upper() in ("BC1Q", "BC1P") and address.isupper():
            address = address.lower()
        if ADDRESS.fullmatch(address):
            return address
    raise ConfigurationError(
        f"{where}: {text!r} is no Bitcoin address: write it as `getblock` does, such as 1..., 3... or bc1..."
    )


def checked_owner(entity: object, kind: object, source: object, confidence: object, where: object) -> Owner:
    """An owner of these parts; `kind` and `confidence` may be text.

    Raises ConfigurationError; its message begins with `where`.
    """
    # A million labels have few sources and few confidences: one object each.
    return Owner(
        _text(entity, "entity", where),
        _kind(kind, where),
        sys.intern(_text(source, "source", where)),
        _confidence(confidence, where),
    )


def _text(value: object, field: str, where: object) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if text and len(text) <= MAX_TEXT and text.isprintable():
        return text
    raise ConfigurationError(f"{where}: {field} is {value!r}: write 1 to {MAX_TEXT} printable characters")


def _kind(value: object, where: object) -> Kind:
    kind = KINDS.get(value) if isinstance(value, str) else None
    if kind is None:
        kind = KINDS.get(str(value).strip().lower())
    if kind is None:
        raise ConfigurationError(f"{where}: type is {value!r}: write one of {', '.join(Kind)}")
    return kind


def _confidence(value: object, where: object) -> float:
    number = _number(value) if isinstance(value, str | int | float) else -1.0
    if 0 <= number <= 1:
        return number
    raise ConfigurationError(f"{where}: confidence is {value!r}: write a number from 0 to 1, such as 0.8")


@lru_cache(maxsize=1000)
def _number(value: str | float) -> float:
    try:
        return float(value)
    except ValueError:
        return -1.0
