"""What a processor is, and how a block's signals come from several of them.

A processor is a pure function of one block's features and of history strictly before it: no clock, no
chance, no I/O. The same block and history give the same signals, on every replay.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite, log1p
from typing import Protocol

import msgspec
import orjson

from app.errors import ContractError
from app.model.features import BlockFeatures
from app.model.keys import block_ts, identifier
from app.model.signal import MAX_METADATA_BYTES, MAX_NAMES, Signal, SignalBatch

PROVIDER = "sigstream"
"""Provider of all block signals."""

OnError = Callable[[str, Exception], None]
"""Told of a processor that failed: its name and what it raised."""


@dataclass(frozen=True, slots=True)
class History:
    """What processors see of the blocks before theirs, oldest first."""

    log_fees: Sequence[float]
    """`history_value` of each block in the window."""


class Processor(Protocol):
    """Computes signals of one kind from a block."""

    name: str
    """Its `signal_type`, and the first part of its signals' names."""

    def process(self, features: BlockFeatures, history: History | None) -> list[Signal]:
        """Signals with name, value, score, confidence and metadata; the block's own fields are added.

        `history` is None for a block out of context: leave out what needs a window. What it raises
        costs the block this processor's signals, not the others'.
        """
        ...


def history_value(features: BlockFeatures) -> float:
    """What a block leaves behind for the windows of later ones: `log1p` of its total fee in satoshi."""
    return log1p(features.total_fee_sat)


def run_processors(
    processors: Iterable[Processor],
    features: BlockFeatures,
    history: History | None,
    *,
    version: int,
    correlation_id: str | None,
    on_error: OnError,
) -> SignalBatch:
    """A block's batch of signals; `history` is not shown to anybody where the block is isolated.

    A processor that raises, or that returns what no signal may be (not finite, out of range, a name
    twice or another processor's), is told to `on_error` and left out. The batch may be empty.
    """
    seen = None if features.isolated else history
    found: dict[str, Signal] = {}
    for processor in processors:
        try:
            signals = processor.process(features, seen)
            _check(signals, found)
        except Exception as error:
            on_error(processor.name, error)
        else:
            found.update((signal.name, signal) for signal in signals)
            _stamp(signals, processor.name, features, version)
    return SignalBatch(
        provider=PROVIDER,
        symbol=features.chain,
        ts=block_ts(features.time, features.height),
        signals=list(found.values()),
        correlation_id=correlation_id,
    )


def metadata(**fields: object) -> msgspec.Raw:
    """A signal's metadata: a JSON object, its keys sorted, so that equal content is equal bytes."""
    return msgspec.Raw(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS))


def saturating(value: float, half: float) -> float:
    """A score of 0..1 for a value without an upper end: 0 at 0, 0.5 at `half`, towards 1."""
    return value / (value + half)


def _check(signals: list[Signal], taken: dict[str, Signal]) -> None:
    names = {signal.name for signal in signals}
    if len(names) < len(signals) or not names.isdisjoint(taken):
        raise ContractError(f"names twice in one block: {sorted(signal.name for signal in signals)}")
    if len(signals) + len(taken) > MAX_NAMES:
        raise ContractError(f"{len(signals)} signals, with those before more than {MAX_NAMES} in a record")
    for signal in signals:
        identifier("name", signal.name)
        _check_range(signal, "value", signal.value, float("-inf"), float("inf"))
        _check_range(signal, "score", 0.0 if signal.score is None else signal.score, -1.0, 1.0)
        _check_range(signal, "confidence", 1.0 if signal.confidence is None else signal.confidence, 0.0, 1.0)
        if isinstance(signal.metadata, msgspec.Raw) and len(bytes(signal.metadata)) > MAX_METADATA_BYTES:
            raise ContractError(f"signal {signal.name!r}: metadata is over {MAX_METADATA_BYTES} bytes")


def _check_range(signal: Signal, field: str, number: float | None, low: float, high: float) -> None:
    if number is None or not isfinite(number) or not low <= number <= high:
        raise ContractError(
            f"signal {signal.name!r}: {field} is {number!r}, not a finite number of {low} to {high}"
        )


def _stamp(signals: list[Signal], kind: str, features: BlockFeatures, version: int) -> None:
    block_time = datetime.fromtimestamp(features.time, UTC)
    for signal in signals:
        signal.signal_type = signal.signal_type or kind
        signal.block_height = features.height
        signal.block_hash = features.hash
        signal.block_time = block_time
        signal.version = version
