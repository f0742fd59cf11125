"""The loop around sinks on the real Kafka, before a store that fails as the test says (a double)."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from app.config import Settings
from app.errors import Transient
from app.model.receipt import Outcome
from app.sinks.base import Sink, SinkRecord, Written
from app.sinks.worker import SinkWorker
from app.streaming.slot import claim
from tests.support.probe import probe
from tests.support.signals import forwarded

RECORDS = 40


class Store(Sink):
    """Keeps what is written; `down` times it is not there, and then asks the worker to stop."""

    name = "double"

    def __init__(self, down: int = 0) -> None:
        self.down = down
        self.written: Counter[tuple[int, int]] = Counter()
        self.worker: SinkWorker | None = None

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def health(self) -> None:
        pass

    async def write(self, records: Sequence[SinkRecord]) -> list[list[Written]]:
        if self.down:
            self.down -= 1
            if self.worker is not None:
                self.worker.stop()
            raise Transient("down")
        self.written.update((record.partition, record.offset) for record in records)
        return [[Written(Outcome.INSERTED)] * len(record.batch.signals) for record in records]


async def run(store: Store, settings: Settings, *, stops_itself: bool) -> None:
    slot = claim(settings.data_dir, settings.group("sink.double"))
    worker = SinkWorker(store, settings, slot)
    store.worker = worker if stops_itself else None
    task = asyncio.create_task(worker.run())
    if not stops_itself:
        while len(store.written) < RECORDS and not task.done():
            await asyncio.sleep(0.02)
        worker.stop()
    await asyncio.wait_for(task, 60)
    slot.lock.close()


async def test_a_stop_while_the_store_is_down_commits_nothing_behind_what_was_not_written(
    settings: Settings,
) -> None:
    """The rest of what was read would be written on the way out, and committed past the gap."""
    settings = settings.model_copy(update={"sink_batch_signals": 3})
    async with probe(settings) as found:
        await found.send("signals", forwarded(RECORDS, "double", settings.signal_partitions))
        first = Store(down=1)
        await asyncio.wait_for(run(first, settings, stops_itself=True), 60)
        assert first.down == 0, "the fault did not happen"
        second = Store()
        await asyncio.wait_for(run(second, settings, stops_itself=False), 60)
        assert await found.lag("sink.double", "signals") == 0
    written = first.written + second.written
    assert len(written) == RECORDS
    assert set(written.values()) == {1}


async def test_a_store_that_comes_back_gets_everything_in_order(settings: Settings) -> None:
    settings = settings.model_copy(update={"sink_batch_signals": 30})
    async with probe(settings) as found:
        await found.send("signals", forwarded(RECORDS, "double", settings.signal_partitions))
        store = Store(down=2)
        await asyncio.wait_for(run(store, settings, stops_itself=False), 60)
        assert store.down == 0, "the fault did not happen"
        assert await found.lag("sink.double", "signals") == 0
    assert len(store.written) == RECORDS
    assert set(store.written.values()) == {1}
