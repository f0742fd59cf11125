"""A sink's worker that stands still in the middle of a write, is replaced, and wakes up.

All sinks at once, as most of the time goes by until Kafka has given up on them.
"""

import asyncio
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass

from app.config import Settings
from app.embedded.bigquery import BigQuery
from app.embedded.postgres import Postgres
from app.model.receipt import RECEIPT_DECODER, Outcome
from tests.support.probe import Probe, probe, until
from tests.support.processes import Worker, struck, worker
from tests.support.signals import PROVIDER, forwarded, ts_of
from tests.support.stores import BigQueryStore, PostgresStore, SqliteStore, Store

RECORDS = 150
NAMES = 4
ROUNDS = 3


@dataclass
class Story:
    """One sink's zombie, and the worker in its place."""

    store: Store
    moment: str
    zombie: Worker
    successor: Worker | None = None

    @property
    def stage(self) -> str:
        return f"sink.{self.store.sink}"

    def log(self) -> str:
        after = self.successor.log if self.successor else ""
        return f"{self.moment}; zombie:\n{self.zombie.log}\nsuccessor:\n{after}"


async def test_a_zombie_doubles_nothing_and_puts_nothing_old_over_new(
    settings: Settings, postgres: Postgres, bigquery: BigQuery
) -> None:
    stores: dict[Store, str] = {
        SqliteStore(): "storing",
        PostgresStore(postgres): "upserting",
        BigQueryStore(bigquery): "appending",
    }
    settings = settings.model_copy(update={"sink_batch_signals": 50})
    for store in stores:
        settings = await store.settings(settings)
    messages = forwarded(RECORDS, ",".join(s.sink for s in stores), settings.signal_partitions, NAMES, ROUNDS)
    rounds = [messages[number * RECORDS : (number + 1) * RECORDS] for number in range(ROUNDS)]
    async with probe(settings) as found:
        with ExitStack() as running:
            await found.send("signals", rounds[0])
            stories = [
                Story(
                    store,
                    moment,
                    running.enter_context(struck(settings, f"SIGSTOP@{moment}:3", "sink", store.sink)),
                )
                for store, moment in stores.items()
            ]
            await asyncio.gather(*[stands_still(found, story) for story in stories])
            await found.send("signals", rounds[1])
            for story in stories:
                story.successor = running.enter_context(worker(settings, "sink", story.store.sink, tag="-2"))
            await asyncio.gather(*[through(found, story) for story in stories])
            for story in stories:
                story.zombie.resume()
            await asyncio.gather(*[shared(found, story) for story in stories])
            await asyncio.gather(*[newest_is(story.store, 2) for story in stories])
            await found.send("signals", rounds[2])
            await asyncio.gather(*[through(found, story) for story in stories])
            for story in stories:
                assert story.successor is not None
                assert (story.zombie.stop(), story.successor.stop()) == (0, 0), story.log()
        await asyncio.gather(*[everything_is_once(story.store) for story in stories])
        await receipts_are_right(found, [story.store.sink for story in stories], len(messages))


async def stands_still(found: Probe, story: Story) -> None:
    """In the middle of a write: work is left."""

    async def suspended() -> bool:
        assert story.zombie.returncode is None, story.log()
        return story.zombie.suspended

    await until(suspended, f"a zombie of {story.stage}", log=story.log)
    assert await found.lag(story.stage, "signals") > 0


async def through(found: Probe, story: Story) -> None:
    """All that there is, is written and committed."""

    async def nothing_left() -> bool:
        assert story.successor is not None
        assert story.successor.returncode is None, story.log()
        return await found.lag(story.stage, "signals") == 0

    await until(nothing_left, f"{story.stage} without lag", log=story.log)


async def shared(found: Probe, story: Story) -> None:
    """The zombie is a member like any other again."""

    async def both() -> bool:
        assert story.zombie.returncode is None, story.log()
        shares = await found.shares(story.stage, "signals")
        return sum(bool(owned) for owned in shares.values()) == 2

    await until(both, f"two members of {story.stage}", log=story.log)
    assert any(sign in story.zombie.log for sign in ("commit refused", "fenced", "sink waits")), story.log()


async def newest_is(store: Store, rounds: int) -> None:
    """Readers see the versions of the last of so many rounds."""
    latest = await store.latest(PROVIDER)
    first = RECORDS * (rounds - 1) + 1
    assert {(key[2], key[3]): row.version for key, row in latest.items()} == {
        (ts_of(number), f"n{name}"): first + number for number in range(RECORDS) for name in range(NAMES)
    }, store.sink


async def everything_is_once(store: Store) -> None:
    """The last round's versions are what readers see; a store that keeps all has each version once."""
    await newest_is(store, ROUNDS)
    versions = await store.versions(PROVIDER)
    assert {key: count for key, count in versions.items() if count > 1} == {}, store.sink
    kept = ROUNDS if store.sink == "bigquery" else 1
    assert len(versions) == RECORDS * NAMES * kept, store.sink


async def receipts_are_right(found: Probe, sinks: list[str], records: int) -> None:
    """Each record is answered for by each sink; none says twice that something is new."""
    answered = [
        RECEIPT_DECODER.decode(record.value or b"") for record in await found.read("signals.persisted")
    ]
    for sink in sinks:
        mine = [receipt for receipt in answered if receipt.stage == sink]
        assert len({(r.origin.partition, r.origin.offset) for r in mine}) == records, sink
        new = Counter((r.ts, name) for r in mine for name in r.outcomes.get(Outcome.INSERTED, []))
        assert set(new.values()) == {1}, sink
        assert len(new) == RECORDS * NAMES, sink
