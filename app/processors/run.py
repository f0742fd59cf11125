"""A block's batch of signals from several processors; a bad one costs its own signals, not the others'."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from math import isfinite
from time import perf_counter
from typing import Any

import msgspec
import orjson

from app.chain.window import robust_z
from app.errors import ContractError
from app.model.features import BlockFeatures
from app.model.keys import block_ts, identifier
from app.model.signal import MAX_METADATA_BYTES, MAX_NAMES, Signal, SignalBatch
from app.processors.base import Metric, Output, Processor
from app.processors.budget import within
from app.processors.confidence import confidence
from app.processors.history import WINDOW, History, Past, kept

PROVIDER = "sigstream"
"""Provider of all block signals."""
BUDGET_S = 1.0
"""A processor's time for one block, unless the configuration says otherwise."""


@dataclass(slots=True)
class Enabled:
    """A processor, ready, with its time budget."""

    processor: Processor
    budget_s: float = BUDGET_S


@dataclass(slots=True)
class Ran:
    """What came of a block."""

    batch: SignalBatch
    past: Past
    """What later blocks see of it."""
    failures: dict[str, Exception] = field(default_factory=dict)
    """Processor -> what it raised, or what was wrong with its metrics."""
    timings: dict[str, float] = field(default_factory=dict)
    """Processor -> seconds."""


def run_processors(
    processors: Sequence[Enabled],
    features: BlockFeatures,
    history: History | None,
    *,
    version: int,
    correlation_id: str | None,
) -> Ran:
    """A block's signals; `history` is not shown to anybody where the block is isolated.

    A processor that raises, takes too long, or returns what no signal may be (not finite, out of range,
    a name twice or another processor's), is in `failures`, and nothing else of it is kept. The batch may
    be empty.
    """
    seen = None if features.isolated else history
    ran = Ran(_empty_batch(features, correlation_id), _empty_past(features, seen))
    taken: set[str] = set()
    for enabled in processors:
        name, begun = enabled.processor.name, perf_counter()
        try:
            output, metrics = within(enabled.budget_s, partial(_process, enabled.processor, features, seen))
            signals = [_signal(metric, name, features, seen, version) for metric in metrics]
            _check(signals, taken)
            _keep(ran.past, name, output)
            taken.update(signal.name for signal in signals)
        except Exception as error:
            ran.failures[name] = error
        else:
            ran.batch.signals += signals
            ran.past.values.update((signal.name, signal.value or 0.0) for signal in signals)
        ran.timings[name] = perf_counter() - begun
    return ran


def _process(
    processor: Processor, features: BlockFeatures, history: History | None
) -> tuple[Output, list[Metric]]:
    output = processor.process(features, history)
    return output, list(output.metrics)


def _empty_batch(features: BlockFeatures, correlation_id: str | None) -> SignalBatch:
    return SignalBatch(
        provider=PROVIDER,
        symbol=features.chain,
        ts=block_ts(features.time, features.height),
        signals=[],
        correlation_id=correlation_id,
    )


def _empty_past(features: BlockFeatures, history: History | None) -> Past:
    before = history.pasts[-1] if history and history.pasts else None
    return Past(
        height=features.height,
        hash=features.hash,
        values={},
        states=dict(before.states) if before else {},  # a processor that fails goes on from there
        totals=dict(before.totals) if before else {},
        blocks=before.blocks + 1 if before else 1,
    )


def _keep(past: Past, name: str, output: Output) -> None:
    """What later blocks see. Raises TypeError for what can't be kept."""
    trace, state = kept(output.trace), kept(output.state)
    if not all(isinstance(amount, int) for amount in output.amounts.values()):
        raise TypeError(f"amounts must be integers: {dict(output.amounts)}")
    if output.trace is not None:
        past.traces[name] = trace
    if output.state is not None:
        past.states[name] = state
    for key, amount in output.amounts.items():
        past.totals[key] = past.totals.get(key, 0) + amount


def _signal(
    metric: Metric, kind: str, features: BlockFeatures, history: History | None, version: int
) -> Signal:
    identifier("name", metric.name)
    _check_range(metric, "value", metric.value, float("-inf"), float("inf"))
    _check_range(metric, "score", 0.0 if metric.score is None else metric.score, -1.0, 1.0)
    _check_range(metric, "quality", metric.quality, 0.0, 1.0)
    blocks = min(WINDOW, len(history)) if history else 0
    z = robust_z(metric.value, history.values(metric.name)) if history else None
    whole = metric.quality * (history.completeness if history else 1.0)
    return Signal(
        name=metric.name,
        value=metric.value,
        score=metric.score,
        confidence=confidence(z, blocks=blocks, window=WINDOW, quality=whole),
        metadata=_metadata(metric, features, blocks, z),
        signal_type=kind,
        block_height=features.height,
        block_hash=features.hash,
        block_time=datetime.fromtimestamp(features.time, UTC),
        version=version,
    )


def _metadata(metric: Metric, features: BlockFeatures, blocks: int, z: float | None) -> msgspec.Raw:
    """Sorted by key, so that equal content is equal bytes."""
    fields: dict[str, Any] = {"labels": features.labels, "window": blocks, **metric.metadata}
    if z is not None:
        fields["z"] = round(z, 3)
    raw = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
    if len(raw) > MAX_METADATA_BYTES:
        raise ContractError(f"signal {metric.name!r}: metadata is over {MAX_METADATA_BYTES} bytes")
    return msgspec.Raw(raw)


def _check(signals: list[Signal], taken: set[str]) -> None:
    names = {signal.name for signal in signals}
    if len(names) < len(signals) or not names.isdisjoint(taken):
        raise ContractError(f"names twice in one block: {sorted(signal.name for signal in signals)}")
    if len(names) + len(taken) > MAX_NAMES:
        raise ContractError(f"{len(names)} signals, with those before more than {MAX_NAMES} in a record")


def _check_range(metric: Metric, field: str, number: float, low: float, high: float) -> None:
    if not isfinite(number) or not low <= number <= high:
        raise ContractError(
            f"signal {metric.name!r}: {field} is {number!r}, not a finite number of {low} to {high}"
        )
