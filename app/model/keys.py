"""The one place that makes keys, ids and versions: what identifies a signal, wherever it is written."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha1
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from aiokafka.partitioner import murmur2

from app.errors import ContractError

if TYPE_CHECKING:
    from hashlib import _Hash as HASH

NAMESPACE = UUID("6c1f7d3e-9a6b-5b0e-8f39-3d7f3a5b9c21")
"""Namespace of `signal_id`: part of the wire format, never to change."""

_IDENTIFIER = re.compile(r"[ -{}~]{1,128}")  # printable ASCII without '|'
_CANONICAL_TS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_NEVER = ("0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z")
"""The ends of what a `datetime` can be: asyncpg takes them for PostgreSQL's -infinity and infinity."""


def identifier(field: str, value: str) -> str:
    """`value`, when it can be part of a key. Raises ContractError."""
    if _IDENTIFIER.fullmatch(value) and value == value.strip():
        return value
    raise ContractError(
        f"`{field}` is {value[:140]!r}: send 1 to 128 printable ASCII characters without '|' "
        "and without blanks at either end"
    )


def canonical_symbol(value: str, *, uppercase: bool = False) -> str:
    """The symbol in upper case. Raises ContractError, unless `uppercase` asks to have it done."""
    symbol = identifier("symbol", value)
    if symbol == symbol.upper():
        return symbol
    if uppercase:
        return symbol.upper()
    raise ContractError(
        f"`symbol` is {symbol!r}, not upper case: send {symbol.upper()!r}, "
        "or set SIGSTREAM_UPPERCASE_SYMBOLS=true to have it done"
    )


@lru_cache(maxsize=4096)
def canonical_ts(value: str) -> str:
    """`value` (RFC 3339) as `YYYY-MM-DDTHH:MM:SS.ffffffZ`. Raises ContractError."""
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError as error:
        raise ContractError(
            f"`ts` is {value[:80]!r}, not RFC 3339 ({error}): send 2024-01-31T12:00:00Z"
        ) from None
    if parsed.tzinfo is None:
        raise ContractError(f"`ts` is {value!r}, without a time zone: end it with Z or an offset")
    return value if _CANONICAL_TS.fullmatch(value) and value not in _NEVER else ts_of("ts", parsed)


def ts_of(field: str, when: datetime) -> str:
    """The `ts` of an aware time. Raises ContractError where not every store can hold it."""
    try:
        ts = write_ts(when)
    except OverflowError:
        ts = _NEVER[0]
    if ts in _NEVER:
        raise ContractError(f"`{field}` is {when.isoformat()!r}, not between {_NEVER[0]} and {_NEVER[1]}")
    return ts


def write_ts(when: datetime) -> str:
    """The wire's one way to write a time."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


@lru_cache(maxsize=4096)
def read_ts(value: str) -> datetime:
    """A canonical `ts` as an aware datetime."""
    return datetime.fromisoformat(value)


def block_ts(header_time: int, height: int) -> str:
    """`ts` of a block's signals: header time (s) plus `height mod 1,000,000` microseconds.

    Header times repeat along a chain; keys must not.
    """
    when = datetime.fromtimestamp(header_time, UTC) + timedelta(microseconds=height % 1_000_000)
    return write_ts(when)


def batch_key(provider: str, symbol: str, ts: str) -> bytes:
    """Kafka key of a batch: `provider|symbol|ts`, all canonical."""
    return f"{provider}|{symbol}|{ts}".encode()


def signal_id(provider: str, symbol: str, ts: str, name: str) -> UUID:
    """UUIDv5 of a signal's composite key, all parts canonical."""
    return uuid5(NAMESPACE, f"{provider}|{symbol}|{ts}|{name}")


_SHA1_OF_NAMESPACE = sha1(NAMESPACE.bytes, usedforsecurity=False)
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def signal_ids(provider: str, symbol: str, ts: str, names: Iterable[str]) -> list[str]:
    """`signal_id` of each name of one batch, as text.

    The hash of what the names have in common is made once: a third of the time of one by one.
    """
    common = _SHA1_OF_NAMESPACE.copy()
    common.update(f"{provider}|{symbol}|{ts}|".encode())
    return [_uuid5_text(common.copy(), name) for name in names]


def _uuid5_text(digest: "HASH", name: str) -> str:
    digest.update(name.encode())
    h = digest.hexdigest()
    return f"{h[:8]}-{h[8:12]}-5{h[13:16]}-{_VARIANT[h[16]]}{h[17:20]}-{h[20:32]}"


def partition_of(key: bytes, partitions: int) -> int:
    """Partition of a key, by Kafka's default (Java) partitioner."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


def version_of(timestamp_ms: int, offset: int) -> int:
    """Version of what a record caused: the broker's time in microseconds, plus `offset mod 1,000`.

    Topics are LogAppendTime, so this grows along a partition.
    """
    return timestamp_ms * 1000 + offset % 1000
