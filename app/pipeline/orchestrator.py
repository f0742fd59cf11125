"""A chain's signals in plain Python, for notebooks and tests: the code that the agents run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any
from uuid import uuid4

import orjson

from app.chain.extract import extract
from app.chain.tracker import KEEP
from app.errors import SigstreamError
from app.labels.registry import Labels, builtin_labels
from app.model.features import BlockFeatures
from app.model.signal import Signal
from app.pipeline.chain import Chain, Effects
from app.processors.base import Processor
from app.processors.history import YEAR, Past
from app.processors.registry import ProcessorConfig, make_processors
from app.processors.run import Enabled

__all__ = ["PipelineOrchestrator", "PipelineResult", "ProcessorConfig"]


@dataclass(slots=True)
class PipelineResult:
    """What came of one block."""

    success: bool
    """False: the block was refused, or a processor failed; the others' signals are there all the same."""
    signals: list[Signal] = field(default_factory=list)
    """Of this block, and of others that it changed; those with `retracted_at` are taken back."""
    timing_metrics: dict[str, float] = field(default_factory=dict)
    """Seconds: `extract`, each processor, `total`."""
    correlation_id: str = ""
    error: str | None = None


class PipelineOrchestrator:
    """One chain in memory. Blocks may come late, twice, or from another branch; a gap is not waited for."""

    def __init__(
        self,
        signal_processors: Mapping[str, ProcessorConfig] | Sequence[Processor],
        *,
        chain: str = "BTC",
        labels: Labels | None = None,
    ) -> None:
        """`signal_processors`: configurations by name, or processors of one's own. `labels`: who owns an
        address; None: the built-in ones.

        Raises ConfigurationError for a name that is not installed.
        """
        if isinstance(signal_processors, Mapping):
            enabled: Sequence[Enabled] = make_processors(signal_processors)
        else:
            enabled = [Enabled(processor) for processor in signal_processors]
        self._name = chain
        self._labels = builtin_labels() if labels is None else labels
        self._sums: dict[int, Past] = {}
        self._chain = Chain(enabled, older=self._sums.get)
        self._blocks = 0

    def process_new_block(self, block: bytes | Mapping[str, Any] | BlockFeatures) -> PipelineResult:
        """Compute a block: `getblock <hash> 3` as JSON or as a dict, or its features. Never raises for
        what is wrong with the block: see `error`."""
        result = PipelineResult(success=False, correlation_id=uuid4().hex)
        begun = perf_counter()
        try:
            features = self._features(block)
            result.timing_metrics["extract"] = perf_counter() - begun
            self._take(self._arrive(features, result.correlation_id), result)
        except (SigstreamError, TypeError, ValueError, OverflowError) as error:
            result.error = str(error) or repr(error)
        result.timing_metrics["total"] = perf_counter() - begun
        return result

    def _features(self, block: bytes | Mapping[str, Any] | BlockFeatures) -> BlockFeatures:
        if isinstance(block, BlockFeatures):
            return block
        value = block if isinstance(block, bytes) else orjson.dumps(block)
        return extract(value, chain=self._name, isolated=False, labels=self._labels)

    def _arrive(self, features: BlockFeatures, correlation_id: str) -> list[Effects]:
        self._blocks += 1
        arrived = self._chain.arrive(
            features, now_ms=features.time * 1000, version=self._blocks, correlation_id=correlation_id
        )
        effects = [arrived]
        while self._chain.tracker.waiting:
            effects.append(self._chain.give_up(version=self._blocks))
        return effects

    def _remember(self, pasts: Sequence[Past]) -> None:
        """As the agents' table does, for a year."""
        for past in pasts:
            self._sums[past.height] = past
            self._sums.pop(past.height - YEAR - KEEP, None)

    def _take(self, effects: Sequence[Effects], result: PipelineResult) -> None:
        failed = []
        for effect in effects:
            self._remember(effect.pasts)
            result.signals += [signal for batch in effect.batches for signal in batch.signals]
            for features, ran in effect.ran:
                result.timing_metrics.update(ran.timings)
                failed += [f"{name} at {features.height}: {error}" for name, error in ran.failures.items()]
        result.error = "; ".join(failed) or None
        result.success = not failed
