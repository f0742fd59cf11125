"""The decision new / changed / same / older / refused: from values to a value, without I/O."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from math import isfinite
from typing import NamedTuple

import msgspec
import orjson
from msgspec import UNSET
from xxhash import xxh3_64_intdigest

from app.errors import ContractError
from app.model.receipt import Outcome
from app.model.signal import MAX_METADATA_BYTES, Signal, SignalBatch

MAX_NAME_CHARS = 256
MAX_KNOWN_NAMES = 20_000
"""Under one (provider, symbol, ts): what is remembered of them must fit a record of the changelog."""
REFRESH_SHARE = 30
"""A key's time of last touch is written again once a thirtieth of its lifetime has passed."""

_pack = msgspec.msgpack.Encoder().encode
_new = tuple.__new__


class Known(NamedTuple):
    """What is remembered of a signal; ordered as it is compared: version, then digest."""

    version: int
    digest: int


_UNPACK = msgspec.msgpack.Decoder(dict[str, Known])


class Seen(NamedTuple):
    """What the table holds under a batch's key."""

    touched_ms: int
    names: dict[str, Known]


def pack(seen: Seen) -> bytes:
    """8 bytes of time, then MessagePack: the time can be read without the rest."""
    return seen.touched_ms.to_bytes(8, "big") + _pack(seen.names)


def unpack(value: bytes) -> Seen:
    """What `pack` wrote."""
    return Seen(touched_ms(value), _UNPACK.decode(value[8:]))


def touched_ms(value: bytes) -> int:
    """When a packed key was last touched, milliseconds since 1970."""
    return int.from_bytes(value[:8], "big")


class Fate(StrEnum):
    """What to do with a signal whose name is known."""

    CHANGED = "changed"
    SAME = "same"
    OLDER = "older"


CHANGED, SAME, OLDER = Fate  # an enum's attributes are slow to look up


class Verdict(NamedTuple):
    """What to do with one record."""

    forward: SignalBatch | None
    outcomes: dict[Outcome, list[str]]
    """Of what is not forwarded: same, older, rejected."""
    reasons: dict[str, str]
    seen: Seen | None
    """What to remember from now on; None: what is known already."""


def fate(signal: Known, known: Known) -> tuple[Fate, Known]:
    """What to do with a signal of a known name, and what is known of it from now on.

    Versions order what happened; the digest breaks a tie, so that every reader of the same records
    ends with the same signal, whatever order they came in.
    """
    latest = max(known, signal)
    if signal.digest == known.digest:
        return SAME, latest
    return (CHANGED if latest is signal else OLDER), latest


def decide(
    batch: SignalBatch,
    refused: Mapping[str, str],
    seen: Seen | None,
    *,
    version: int,
    now: datetime,
    lifetime_ms: int,
) -> Verdict:
    """The verdict on a batch with canonical keys.

    `version` and `now` are those of the batch's record (see `keys.version_of`): a signal without a
    version or a time of its own takes them.
    """
    now_ms = int(now.timestamp() * 1000)
    names = dict(seen.names) if seen else {}
    reasons = dict(refused)
    outcomes: dict[Outcome, list[str]] = {}
    forward: dict[str, Signal] = {}
    for signal in batch.signals:
        name = signal.name
        try:
            if len(names) >= MAX_KNOWN_NAMES:
                _check_room(name, names)
            mine = _complete(signal, version, now)
        except ContractError as error:
            reasons[name] = str(error)
            continue
        known = names.get(name)
        if known is None:  # by far the most
            names[name], forward[name] = mine, signal
            continue
        what, names[name] = fate(mine, known)
        if what is CHANGED:
            forward[name] = signal
        else:
            outcomes.setdefault(Outcome(what.value), []).append(name)
    if reasons:
        outcomes[Outcome.REJECTED] = list(reasons)
    fresh = (
        seen is not None and names == seen.names and now_ms - seen.touched_ms < lifetime_ms / REFRESH_SHARE
    )
    kept = None if fresh or not names else Seen(now_ms, names)
    return Verdict(_batch(batch, forward), outcomes, reasons, kept)


def _check_room(name: str, names: Mapping[str, Known]) -> None:
    if name not in names and len(names) >= MAX_KNOWN_NAMES:
        raise ContractError(
            f"its (provider, symbol, ts) has {MAX_KNOWN_NAMES} names already: use another `ts`"
        )


def _batch(batch: SignalBatch, forward: dict[str, Signal]) -> SignalBatch | None:
    if not forward:
        return None
    return SignalBatch(
        provider=batch.provider,
        symbol=batch.symbol,
        ts=batch.ts,
        signals=list(forward.values()),
        correlation_id=batch.correlation_id,
    )


def _complete(signal: Signal, version: int, now: datetime) -> Known:
    """Fill in version, digest and time of the signal. Raises ContractError when it can't be stored."""
    _check(signal)
    if signal.metadata is not UNSET:
        signal.metadata = _canonical_metadata(bytes(signal.metadata))
    if signal.version is None:
        signal.version = version
    if signal.created_at is None:
        signal.created_at = now
    signal.signal_id = None
    signal.digest = digest = digest_of(signal)
    # Skips NamedTuple's Python-level constructor: half of the time.
    return _new(Known, (signal.version, digest))


def _check(signal: Signal) -> None:
    value, score, name = signal.value, signal.score, signal.name
    if value is None:
        raise ContractError("`value` is null: NaN and infinities can't be stored; leave the signal out")
    if not isfinite(value):
        raise ContractError(f"`value` is {value}: send a finite number")
    if score is not None and not isfinite(score):
        raise ContractError(f"`score` is {score}: send a finite number")
    if not 0 < len(name) <= MAX_NAME_CHARS:
        raise ContractError(f"`name` has {len(name)} characters: send 1 to {MAX_NAME_CHARS}")


def _canonical_metadata(raw: bytes) -> msgspec.Raw | msgspec.UnsetType:
    """The object, sorted by key, so that the same content has the same digest."""
    if raw == b"null":
        return UNSET
    if len(raw) > MAX_METADATA_BYTES:
        raise ContractError(f"`metadata` has {len(raw)} bytes: send at most {MAX_METADATA_BYTES}")
    if not raw.startswith(b"{"):
        raise ContractError(f"`metadata` is {raw[:40].decode(errors='replace')}: send a JSON object")
    try:
        content = orjson.loads(raw)
        text = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
    except (ValueError, TypeError) as error:
        raise ContractError(f"`metadata` can't be read: {error}") from None
    if b"\\u0000" in text and _holds_nul(content):
        raise ContractError("`metadata` holds U+0000, which PostgreSQL can't store: take it out")
    return msgspec.Raw(text)


def _holds_nul(content: object) -> bool:
    if isinstance(content, str):
        return "\0" in content
    if isinstance(content, dict):
        return any("\0" in key or _holds_nul(value) for key, value in content.items())
    return isinstance(content, list) and any(map(_holds_nul, content))


def digest_of(signal: Signal) -> int:
    """63 bits over value, score, type, confidence, metadata, block and retraction.

    Not over version, times or correlation id: the same content computed again is the same signal.
    """
    block_time, metadata = signal.block_time, signal.metadata
    content = (
        signal.value,
        signal.score,
        signal.signal_type,
        signal.confidence,
        signal.block_height,
        signal.block_hash,
        block_time.timestamp() if block_time else None,
        signal.retracted_at is not None,
        None if metadata is UNSET else metadata,  # JSON amid MessagePack: last, where it can't mix
    )
    return xxh3_64_intdigest(_pack(content)) >> 1
