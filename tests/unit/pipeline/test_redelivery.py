"""A worker that is killed again and again: writes of several events are lost, records come again."""

from collections.abc import Iterable
from random import Random

import pytest

from app.chain.tracker import Patience
from app.model.features import BlockFeatures
from app.model.signal import SignalBatch
from app.pipeline.chain import Chain
from app.pipeline.store import ChainStore
from tests.support.table import Table
from tests.unit.pipeline.test_chain import CHAIN, PROCESSORS, Store, delivered, history_of

RecordAt = tuple[BlockFeatures | None, int]
"""A block, or None for a tick; and the broker's time."""


class Lenient(Store):
    """A redone event may say something else in the version of the lost one, until the next one puts it
    right."""

    def take(self, batches: Iterable[SignalBatch]) -> None:
        for batch in batches:
            for signal in batch.signals:
                mine = (signal.version or 0, signal.value or 0.0, signal.retracted_at is not None)
                key = (batch.ts, signal.name)
                self.rows[key] = max(mine, self.rows.get(key, mine))


class Worker:
    """What is in Kafka survives a kill: records, commits, and the first so many writes of the table."""

    def __init__(self, rng: Random, blocks: list[BlockFeatures]) -> None:
        self._rng = rng
        self._blocks = blocks[::-1]
        self._patience = Patience(wait_ms=10_000, blocks=rng.choice([3, 2000]))
        self._log: list[RecordAt] = []
        self._now_ms = 1_000_000
        self._changelog: list[tuple[bytes, bytes | None]] = []
        self._settled = 0
        """Writes that are known to be there."""
        self._ends: list[int] = []
        """Where each handled record's writes end."""
        self._committed = 0
        self._kills = rng.randint(0, 5)
        self.store = Lenient()
        self._start()

    def _start(self) -> None:
        self._table = Table()
        self._table.apply(self._changelog)
        self._written = ChainStore(self._table, self._patience)
        self._chain: Chain = self._written.load(None, CHAIN, PROCESSORS)
        self._changelog += self._table.log
        self._unread = True

    def run(self) -> None:
        """Until nothing comes and nothing waits."""
        while self._next_record():
            self._handle(*self._log[len(self._ends)])
            if self._kills and self._rng.random() < 0.15:
                self._kill()

    def _next_record(self) -> bool:
        if len(self._ends) < len(self._log):
            return True
        waiting = self._chain.tracker.waiting
        if self._blocks and (self._rng.random() < 0.7 or not waiting):
            self._now_ms += self._rng.choice([0, 1, 500, 3000])
            self._log.append((self._blocks.pop(), self._now_ms))
        elif waiting or self._unread:
            self._now_ms += 2000
            self._unread = False
            self._log.append((None, self._now_ms))
        return len(self._ends) < len(self._log)

    def _handle(self, features: BlockFeatures | None, now_ms: int) -> None:
        version = now_ms * 1000 + len(self._ends) % 1000
        self._table.log = []
        if features is None:
            effects = self._chain.tick(now_ms=now_ms, version=version)
        else:
            effects = self._chain.arrive(features, now_ms=now_ms, version=version)
        self.store.take(effects.batches)
        self._written.save(None, CHAIN, self._chain, effects, None)
        self._changelog += self._table.log
        self._ends.append(len(self._changelog))
        if features is None and self._chain.tracker.resolved:  # the worker waits until that is there
            self._settled = len(self._changelog)
            self._log.append((None, self._now_ms))

    def _kill(self) -> None:
        self._kills -= 1
        least = max(self._settled, self._ends[self._committed - 1] if self._committed else 0)
        self._settled = max(least, len(self._changelog) - self._rng.randint(0, 40))
        del self._changelog[self._settled :]
        whole = sum(end <= self._settled for end in self._ends)
        self._committed = self._rng.randint(max(self._committed, whole - 6), max(self._committed, whole))
        del self._ends[self._committed :]
        self._start()


@pytest.mark.parametrize("seed", range(40))
def test_kills_and_redelivery_change_nothing(seed: int) -> None:
    for number in range(seed * 20, seed * 20 + 20):
        in_order, disturbed = history_of(Random(number))
        worker = Worker(Random(number), disturbed)
        worker.run()
        assert worker.store.latest() == delivered(in_order), number
