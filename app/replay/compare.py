"""A block computed again, compared with what is known of it: what has to be sent. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import orjson
from msgspec import UNSET
from msgspec.structs import replace

from app.dedupe import Known, Seen, Verdict, decide
from app.model.keys import version_of
from app.model.receipt import Outcome
from app.model.signal import Signal, SignalBatch
from app.processors.run import PROVIDER, Ran
from app.replay.blocks import Found
from app.replay.tally import Change, Tally

COLD = "cold"
"""Outcome: left as it is, as it was computed with more blocks before it."""
LENGTHS = ("window", "blocks")
"""Fields of metadata that say how many blocks before its own a signal was computed from."""
FOR_EVER_MS = 2**53


@dataclass(frozen=True, slots=True)
class Block:
    """One block, computed again."""

    found: Found
    ran: Ran
    length: int = 0
    """Blocks of the window that were there."""
    short: Collection[str] = ()
    """Processors that look further back than the blocks that were read, where there were more once."""
    ok: Collection[str] = ()
    """Processors that said what there is to say of it."""


def changes(
    block: Block, known: Mapping[str, Signal], tally: Tally, now: datetime, *, allow_cold: bool
) -> SignalBatch | None:
    """What of the block has to be sent, if anything; all of it is counted.

    Its version is one above what is known of the block: it beats that, and nothing that happens later, as
    versions of the live pipeline follow the broker's clock.
    """
    version = _version(block.found, known)
    batch = replace(block.ran.batch, signals=[*block.ran.batch.signals])
    for signal in batch.signals:
        signal.version = version
    seen = Seen(0, {name: Known(s.version or 0, s.digest or 0) for name, s in known.items()})
    verdict = decide(batch, {}, seen, version=version, now=now, lifetime_ms=FOR_EVER_MS)
    _count(verdict, tally)
    fresh = verdict.forward.signals if verdict.forward else []
    wanted = [*fresh, *_gone(block, known, now, version)]
    sent = [signal for signal in wanted if _take(block, signal, known, tally, allow_cold=allow_cold)]
    return replace(batch, signals=sent) if sent else None


def _count(verdict: Verdict, tally: Tally) -> None:
    for outcome, names in verdict.outcomes.items():
        said = Outcome.UNCHANGED if outcome in (Outcome.SAME, Outcome.OLDER) else outcome
        for name in names:
            tally.count(name, said)
    for name, reason in verdict.reasons.items():
        tally.reasons.setdefault(name, reason)


def left_behind(found: Found, known: Mapping[str, Signal], tally: Tally, now: datetime) -> SignalBatch | None:
    """What is to be taken back of a block that is not of the chain any more, if anything.

    The live pipeline takes back what it has sent itself, not what a recomputation has added.
    """
    left = [s for s in known.values() if s.block_hash == found.hash and s.retracted_at is None]
    if not left:
        return None
    version = _version(found, known)
    for signal in left:
        key = f"{PROVIDER}|{found.chain}|{found.ts}|{signal.name}"
        tally.show(signal.name, Change(key, Outcome.RETRACTED.value, signal.value, None))
    signals = [replace(signal, retracted_at=now, version=version) for signal in left]
    return SignalBatch(
        provider=PROVIDER,
        symbol=found.chain,
        ts=found.ts,
        signals=signals,
        correlation_id=found.correlation_id,
    )


def _version(found: Found, known: Mapping[str, Signal]) -> int:
    """Nothing known: that of the record on `blocks`, which is older than anything that the live pipeline
    has made, or will make, of the block."""
    if not known:
        return version_of(found.timestamp_ms, found.offset)
    return max(signal.version or 0 for signal in known.values()) + 1


def _gone(block: Block, known: Mapping[str, Signal], now: datetime, version: int) -> list[Signal]:
    """Signals that the block had, and has no more; where their processor was run."""
    names = {signal.name for signal in block.ran.batch.signals}
    gone = [
        signal
        for name, signal in known.items()
        if name not in names and signal.retracted_at is None and signal.signal_type in block.ok
    ]
    return [replace(signal, retracted_at=now, version=version) for signal in gone]


def _take(
    block: Block, signal: Signal, known: Mapping[str, Signal], tally: Tally, *, allow_cold: bool
) -> bool:
    old = known.get(signal.name)
    cold = old is not None and not allow_cold and _is_colder(block, signal, old)
    batch = block.ran.batch
    key = f"{batch.provider}|{batch.symbol}|{batch.ts}|{signal.name}"
    before = old.value if old is not None and old.retracted_at is None else None
    after = signal.value if signal.retracted_at is None else None
    tally.show(signal.name, Change(key, COLD if cold else _outcome(signal, old), before, after))
    return not cold


def _outcome(signal: Signal, old: Signal | None) -> str:
    if signal.retracted_at is not None:
        return Outcome.RETRACTED.value
    return Outcome.INSERTED.value if old is None else Outcome.UPDATED.value


def _is_colder(block: Block, signal: Signal, old: Signal) -> bool:
    """Whether what is known was computed from more blocks."""
    if old.retracted_at is not None:
        return False
    if signal.signal_type in block.short:
        return True
    before = lengths(old)
    after = {**lengths(signal), "window": block.length}
    return any(after[field] < length for field, length in before.items() if field in after)


def lengths(signal: Signal) -> dict[str, int]:
    """What its metadata say of how many blocks it was computed from."""
    if signal.metadata is UNSET:
        return {}
    try:
        found = orjson.loads(bytes(signal.metadata))
    except orjson.JSONDecodeError:
        return {}
    return {name: found[name] for name in LENGTHS if isinstance(found.get(name), int)}
