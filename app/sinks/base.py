"""What a sink is: the only thing that the worker's loop knows of a store."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.config import Settings
from app.model.receipt import Outcome
from app.model.signal import SignalBatch


@dataclass(slots=True, frozen=True)
class SinkRecord:
    """One record of `signals`, decoded: canonical keys, `version` and `digest` set on every signal."""

    partition: int
    offset: int
    batch: SignalBatch
    size: int
    """Bytes of its value."""


class Written(NamedTuple):
    """What became of one signal; `reason` says why it was rejected."""

    outcome: Outcome
    reason: str | None = None


class Sink(ABC):
    """A store of signals.

    The same record may come twice (a crash between write and commit): `write` is idempotent by
    `(version, digest)` of a key. All methods raise Transient for what waiting can heal; what the
    store refuses for good is a REJECTED outcome of that signal alone. Terminal stops the worker.
    """

    name: str

    @abstractmethod
    async def open(self) -> None:
        """Connect and make the store ready (schema, dataset). Called again after Transient."""

    @abstractmethod
    async def write(self, records: Sequence[SinkRecord]) -> list[list[Written]]:
        """Store all; durable on return. One list a record, one Written a signal, in their order.

        Two records may hold the same key, in order of their versions or not.
        """

    @abstractmethod
    async def health(self) -> None:
        """Raises Transient while the store does not answer."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of connections; nothing is buffered here."""

    def use(self, settings: Settings) -> None:
        """Settings have changed that may change in a running worker: they count from the next write on."""

    async def acquire(
        self, partition: int, offset: int, state: str | None, save: Callable[[str], Awaitable[None]]
    ) -> None:
        """The partition is this worker's now, from `offset` on.

        `state` is what was last saved beside the committed offset; `save` commits a new one at the
        unchanged offset and raises Fenced when the partition is not ours any more.
        """

    async def release(self, partitions: Sequence[int]) -> None:
        """The partitions are somebody else's from now on."""
