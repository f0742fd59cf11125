"""What a processor is: a pure function of a block and of the blocks before it on its own branch.

No clock, no chance, no I/O: the same block and history give the same metrics, on every replay.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.model.features import BlockFeatures
from app.processors.history import History


@dataclass(slots=True)
class Metric:
    """One signal before it is stamped with its block, its version and its confidence."""

    name: str
    """`type.metric`, or `type.metric:subject`; the type is the processor's name."""
    value: float
    score: float | None = None
    """-1..1: how strong, and in which direction."""
    quality: float = 1.0
    """0..1: label quality x completeness of what it was computed from; a factor of its confidence."""
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Output:
    """What a processor makes of one block."""

    metrics: Sequence[Metric]
    trace: Any = None
    """A small JSON value that stays with the block: later blocks see it by `History.traces`."""
    state: Any = None
    """A JSON value folded along the branch: the next block sees it by `History.state`. Of bounded size."""
    amounts: Mapping[str, int] = field(default_factory=dict)
    """Integers that `History.sums` adds up over as many blocks as one likes."""


class Processor(Protocol):
    """Computes metrics of one kind from a block; made once from its parameters, as keyword arguments.

    One that has something to say of every block may tell so by `every_block = True`, beside its name:
    `sigstream verify` then asks for it.
    """

    name: str
    """Its `signal_type`, and the first part of its metrics' names."""

    def process(self, features: BlockFeatures, history: History | None) -> Output:
        """Metrics of the block.

        `history` is None for a block out of context: leave out what needs a window. What it raises
        costs the block this processor's signals, not the others'.
        """
        ...


def saturating(value: float, half: float) -> float:
    """A score of 0..1 for a value without an upper end: 0 at 0, 0.5 at `half`, towards 1."""
    return value / (value + half)
