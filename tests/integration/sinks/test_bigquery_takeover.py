"""The BigQuery sink when workers and servers die: no row twice, none lost, no zombie's rows."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from google.cloud.bigquery_storage_v1.types import AppendRowsRequest

from app.config import Settings
from app.embedded.bigquery import BigQuery
from app.errors import Fenced, Transient
from app.model.receipt import Outcome
from app.model.signal import Signal, SignalBatch
from app.sinks.base import SinkRecord
from app.sinks.bigquery import BigQueryConfig, BigQuerySink
from app.sinks.rows import flatten

DEFAULT_THREADS = min(32, (os.cpu_count() or 1) + 4)


class Group:
    """What a consumer group remembers of one partition, for tests of who may save."""

    def __init__(self) -> None:
        self.state: str | None = None
        self.owner = 0

    def saver(self) -> Callable[[str], Awaitable[None]]:
        """A new owner's `save`; the former one's is refused from now on."""
        self.owner += 1
        mine = self.owner

        async def save(state: str) -> None:
            if mine != self.owner:
                raise Fenced("the group has a newer member")
            self.state = state

        return save


def records(first: int, count: int, names: int = 1) -> list[SinkRecord]:
    """Of partition 0, one signal a name, each `ts` its own."""
    return [
        SinkRecord(
            partition=0,
            offset=offset,
            batch=SignalBatch(
                provider="chain",
                symbol="BTC",
                ts=f"2026-01-01T00:00:00.{offset:06d}Z",
                signals=[Signal(name=f"n{i}", value=1.0, version=offset, digest=i) for i in range(names)],
            ),
            size=100,
        )
        for offset in range(first, first + count)
    ]


@pytest.fixture
def config(bigquery: BigQuery, namespace: str) -> BigQueryConfig:
    """A dataset of the test's own."""
    settings = Settings(_env_file=None, namespace=namespace, bigquery_dataset=namespace)
    return BigQueryConfig.of(settings.model_copy(update=bigquery.settings()))


@pytest.fixture
async def make(config: BigQueryConfig) -> AsyncIterator[Callable[[], Awaitable[BigQuerySink]]]:
    made: list[BigQuerySink] = []

    async def one() -> BigQuerySink:
        sink = BigQuerySink(config)
        made.append(sink)
        await sink.open()
        return sink

    yield one
    for sink in made:
        await sink.close()


Make = Callable[[], Awaitable[BigQuerySink]]


def offsets(config: BigQueryConfig) -> list[int]:
    """Of all rows in the history, sorted."""
    with config.rest_client() as client:
        found = client.query_and_wait(f"SELECT kafka_offset FROM `{config.table_id}` ORDER BY 1")
        return [row[0] for row in found]


async def test_what_a_crash_left_beyond_the_commit_is_not_written_again(
    make: Make, config: BigQueryConfig
) -> None:
    group = Group()
    first, second = await make(), await make()
    await first.acquire(0, 0, None, group.saver())
    await first.write(records(0, 10))  # appended, but the worker dies before its commit

    await second.acquire(0, 0, group.state, group.saver())
    written = await second.write(records(0, 15))

    assert [w[0].outcome for w in written] == [Outcome.UNCHANGED] * 10 + [Outcome.INSERTED] * 5
    assert offsets(config) == list(range(15))


async def test_a_zombie_is_fenced_at_its_next_write(make: Make, config: BigQueryConfig) -> None:
    group = Group()
    zombie, second = await make(), await make()
    await zombie.acquire(0, 0, None, group.saver())
    await zombie.write(records(0, 1))

    await second.acquire(0, 0, group.state, group.saver())

    with pytest.raises(Fenced, match="finalized by another worker"):
        await zombie.write(records(1, 1))
    with pytest.raises(Fenced, match="newer member"):
        await zombie.write(records(1, 1))
    await second.write(records(0, 3))
    assert offsets(config) == [0, 1, 2]


async def test_a_writer_whom_the_group_refuses_writes_nothing(make: Make, config: BigQueryConfig) -> None:
    group = Group()
    late, sink = group.saver(), await make()
    group.saver()

    with pytest.raises(Fenced):
        await sink.acquire(0, 0, None, late)
    with pytest.raises(Fenced):
        await sink.write(records(0, 1))
    assert offsets(config) == []


async def test_a_group_reset_to_an_earlier_offset_doubles_nothing(make: Make, config: BigQueryConfig) -> None:
    group = Group()
    first, second = await make(), await make()
    await first.acquire(0, 0, None, group.saver())
    for start in range(0, 30, 10):
        await first.write(records(start, 10))

    await second.acquire(0, 5, None, group.saver())  # an operator's reset leaves no state
    await second.write(records(5, 30))

    assert offsets(config) == list(range(35))


async def test_it_goes_on_when_the_emulator_has_forgotten_the_streams(
    bigquery: BigQuery, make: Make, config: BigQueryConfig
) -> None:
    group = Group()
    first = await make()
    await first.acquire(0, 0, None, group.saver())
    await first.write(records(0, 5))
    bigquery.stop()
    bigquery.start()

    await first.write(records(3, 5))
    second = await make()
    await second.acquire(0, 3, group.state, group.saver())
    await second.write(records(3, 7))

    assert offsets(config) == list(range(10))


async def test_a_server_that_is_down_is_told_in_seconds_and_taken_up_again(
    bigquery: BigQuery, make: Make, config: BigQueryConfig
) -> None:
    group = Group()
    sink = await make()
    await sink.acquire(0, 0, None, group.saver())
    await sink.write(records(0, 2))
    bigquery.stop()
    try:
        for attempt in (sink.write(records(2, 2)), sink.health(), sink.open()):
            before = time.monotonic()
            with pytest.raises(Transient):
                await attempt
            assert time.monotonic() - before < 10
    finally:
        bigquery.start()

    await until(sink.open)
    await until(lambda: sink.write(records(2, 2)))
    assert offsets(config) == [0, 1, 2, 3]


async def until(attempt: Callable[[], Awaitable[Any]], seconds: float = 20) -> None:
    """Try until it is no longer Transient, as the worker's loop does."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                await attempt()
            except Transient:
                await asyncio.sleep(0.1)
            else:
                return


@pytest.mark.parametrize("after_s", [0.05, 0.15, 0.25, 0.4])
async def test_a_server_killed_in_the_middle_of_a_write_loses_and_doubles_nothing(
    after_s: float, bigquery: BigQuery, make: Make, config: BigQueryConfig
) -> None:
    group = Group()
    sink = await make()
    await sink.acquire(0, 0, None, group.saver())
    writing = asyncio.create_task(sink.write(records(0, 40, names=50)))
    await asyncio.wait([writing], timeout=after_s)
    bigquery.kill()
    await asyncio.wait([writing])
    bigquery.start()

    await until(sink.open)
    await until(lambda: sink.write(records(0, 40, names=50)))

    assert offsets(config) == sorted(list(range(40)) * 50)


async def test_offsets_that_are_out_of_step_are_set_right_by_a_look(
    make: Make, config: BigQueryConfig
) -> None:
    group = Group()
    sink = await make()
    await sink.acquire(0, 0, None, group.saver())
    await sink.write(records(0, 4))

    for step, first in ((-2, 4), (+3, 8)):  # answered with ALREADY_EXISTS, with OUT_OF_RANGE
        stream, before = sink._streams[0], group.state
        stream._offset += step
        await sink.write(records(first, 4))
        assert group.state != before

    assert offsets(config) == list(range(12))


async def test_a_look_that_failed_is_not_taken_for_an_empty_table(make: Make, config: BigQueryConfig) -> None:
    sink = await make()
    with config.rest_client() as client:
        client.delete_table(config.table_id)

    with pytest.raises(Transient, match="not complete"):
        await sink._tables.look(flatten(records(0, 1)))


async def test_a_table_that_was_dropped_is_made_again(make: Make, config: BigQueryConfig) -> None:
    sink = await make()
    await sink.acquire(0, 0, None, Group().saver())
    with config.rest_client() as client:
        client.delete_table(config.table_id)

    with pytest.raises(Transient):
        await sink.write(records(0, 1))
    await sink.open()
    await sink.write(records(0, 1))
    assert offsets(config) == [0]


@pytest.mark.parametrize("after_s", [0.02, 0.06, 0.12, 0.2])
async def test_an_abandoned_write_is_repeated_without_doubling(
    after_s: float, make: Make, config: BigQueryConfig
) -> None:
    group = Group()
    sink = await make()
    await sink.acquire(0, 0, None, group.saver())
    writing = asyncio.create_task(sink.write(records(0, 20, names=50)))
    await asyncio.wait([writing], timeout=after_s)
    writing.cancel()
    await asyncio.wait([writing])

    await sink.write(records(0, 20, names=50))

    assert offsets(config) == sorted(list(range(20)) * 50)


async def test_calls_that_stay_open_keep_nobody_from_appending(make: Make, config: BigQueryConfig) -> None:
    """Each has a thread of the emulator, for ever where it was cancelled at the wrong moment: Python's own
    number of them is used up after some faults."""
    sink, client, never = await make(), config.write_client(), asyncio.Event()

    async def silent() -> AsyncIterator[AppendRowsRequest]:
        await never.wait()
        yield AppendRowsRequest()

    calls = [await client.append_rows(silent()) for _ in range(DEFAULT_THREADS + 1)]
    await sink.acquire(0, 0, None, Group().saver())
    [written] = await sink.write(records(0, 1))
    assert [one.outcome for one in written] == [Outcome.INSERTED]
    del calls  # open until here
