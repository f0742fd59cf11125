"""A whole running pipeline, and what a test puts in and sees come out."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from app.cli.status import read_status
from app.config import Settings
from app.model.receipt import RECEIPT_DECODER, SETTLED_DECODER, Outcome, Receipt, Settled
from app.streaming.record import CORRELATION_ID, Headers, Record
from tests.support.probe import Probe, Tape, probe, tape, until, without_repeats
from tests.support.processes import Worker, worker
from tests.support.stores import Key, Store

TOPICS = (
    *("blocks", "block-features", "signals.raw", "signals", "signals.persisted", "signals.settled"),
    "dead-letters",
)
AGENTS = ("blocks", "dedupe", "receipts")

Stores = dict[str, Store]
"""By the sinks' names."""


@dataclass
class Pipeline:
    """Running workers in front of some stores."""

    settings: Settings
    stores: Stores
    workers: dict[str, Worker] = field(default_factory=dict)

    def log(self) -> str:
        """How each worker's log ends."""
        return "\n".join(f"-- {name}\n{running.log[-1500:]}" for name, running in self.workers.items())

    def check_alive(self) -> None:
        """No worker has ended."""
        ended = {name: w.returncode for name, w in self.workers.items() if w.returncode is not None}
        assert ended == {}, self.log()


async def with_stores(settings: Settings, stores: Iterable[Store]) -> tuple[Settings, Stores]:
    """Settings of a pipeline that writes to all of these, and the stores by name."""
    found: Stores = {}
    for store in stores:
        settings = await store.settings(settings)
        found[store.sink] = store
    return settings, found


@contextmanager
def running(settings: Settings, stores: Stores, agents: Iterable[str] = AGENTS) -> Iterator[Pipeline]:
    """A Pipeline with these agents and a sink a store."""
    assert settings.required_sinks == tuple(sorted(stores))
    with ExitStack() as started:
        pipeline = Pipeline(settings, stores)
        for name in agents:
            pipeline.workers[name] = started.enter_context(worker(settings, name))
        for sink in stores:
            pipeline.workers[f"sink.{sink}"] = started.enter_context(worker(settings, "sink", sink))
        yield pipeline


class View:
    """A pipeline from when a test began."""

    def __init__(self, pipeline: Pipeline, kafka: Probe, seen: Tape) -> None:
        self.pipeline = pipeline
        self.settings = pipeline.settings
        self.stores = pipeline.stores
        self.kafka = kafka
        self.seen = seen

    async def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        partition: int | None = None,
        correlation_id: str | None = None,
        headers: Headers | None = None,
    ) -> tuple[int, int]:
        """One record; partition and offset it got."""
        marks = [(CORRELATION_ID, correlation_id.encode())] if correlation_id else []
        sent = await self.kafka.producer.send_and_wait(
            self.settings.topic(topic),
            value,
            key=key,
            partition=partition,
            headers=[*marks, *(headers or [])],
        )
        return sent.partition, sent.offset

    async def of_key(self, topic: str, key: bytes) -> list[Record]:
        """Records of a topic under a key."""
        return [record for record in await self.seen.of(topic) if record.key == key]

    async def taken(self, key: bytes) -> list[Record]:
        """Records of `signals` under a key that a consumer takes."""
        return [record for record in without_repeats(await self.seen.of("signals")) if record.key == key]

    async def receipts(self, key: bytes, stage: str | None = None) -> list[Receipt]:
        """Receipts under a key, of one stage or of all."""
        found = [RECEIPT_DECODER.decode(r.value or b"") for r in await self.of_key("signals.persisted", key)]
        return [receipt for receipt in found if stage in (None, receipt.stage)]

    async def outcomes(self, key: bytes, stage: str) -> list[dict[Outcome, list[str]]]:
        """What a stage did with each record under a key, names sorted."""
        return [
            {outcome: sorted(names) for outcome, names in receipt.outcomes.items()}
            for receipt in await self.receipts(key, stage)
        ]

    async def settled(self, key: bytes) -> list[Settled]:
        """Announcements under a key."""
        return [SETTLED_DECODER.decode(r.value or b"") for r in await self.of_key("signals.settled", key)]

    async def until(
        self, condition: Callable[[], Awaitable[Any]], what: str, deadline_s: float = 60.0
    ) -> Any:
        """Wait, for as long as all workers run."""

        async def alive() -> Any:
            self.pipeline.check_alive()
            return await condition()

        return await until(alive, what, deadline_s, self.pipeline.log)

    async def at_rest(self, deadline_s: float = 60.0) -> None:
        """Wait until every group has committed all there is, and no sink owes a receipt."""

        found: dict[str, Any] = {}

        async def is_at_rest() -> bool:
            status = await read_status(self.settings)
            found.update({group.stage: group.lag for group in status.groups}, owed=status.outstanding)
            return status.at_rest

        try:
            await self.until(is_at_rest, "the pipeline at rest", deadline_s)
        except AssertionError as error:
            raise AssertionError(f"{found}\n{error}") from None

    async def until_settled(self, key: bytes, records: int = 1) -> None:
        """Wait until this many records under a key are settled."""

        async def all_settled() -> bool:
            return len(await self.settled(key)) >= records

        await self.until(all_settled, f"{records} records of {key!r} settled")

    async def until_answered(self, key: bytes, stage: str, receipts: int = 1) -> None:
        """Wait until a stage has sent this many receipts under a key."""

        async def all_answered() -> bool:
            return len(await self.receipts(key, stage)) >= receipts

        await self.until(all_answered, f"{receipts} receipts of {stage} for {key!r}")

    async def until_stored(self, *keys: Key) -> None:
        """Wait until all stores show these keys, which are of one provider."""

        async def everywhere() -> bool:
            shown = [await store.latest(keys[0][0]) for store in self.stores.values()]
            return all(set(keys) <= set(found) for found in shown)

        await self.until(everywhere, f"{keys} in every store")


@asynccontextmanager
async def view(pipeline: Pipeline) -> AsyncIterator[View]:
    """Of what happens from now on."""
    async with probe(pipeline.settings) as kafka, tape(pipeline.settings, *TOPICS) as seen:
        yield View(pipeline, kafka, seen)
