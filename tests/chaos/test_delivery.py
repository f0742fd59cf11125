"""The four parts of safe delivery, each by itself: a test fails when its part is taken out."""

import asyncio
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from app.config import Settings
from app.model.signal import MAX_NAMES
from app.streaming.app import SafeApp, create_app
from app.streaming.delivery import EXIT_CODE
from app.streaming.topics import ensure_topics, pipeline_topics
from tests.support.probe import Probe, probe, until
from tests.support.processes import Worker, worker
from tests.support.signals import batch_of, raw

SMALL = 200


@pytest.fixture
def app(settings: Settings) -> SafeApp:
    """Faust's own bookkeeping, without a broker."""
    return create_app("test", settings)


def stock(app: SafeApp) -> Any:
    """The app's consumer, with what Faust's interface does not show."""
    return app.consumer


async def limit_signals(settings: Settings, max_bytes: int) -> None:
    """Let the broker refuse large records on `signals`."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.need_kafka())
    await admin.start()
    limits = {"max.message.bytes": str(max_bytes), "message.timestamp.type": "LogAppendTime"}
    await admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, settings.topic("signals"), configs=limits)]
    )
    await admin.close()


async def test_safe_commit_a_record_kafka_refused_is_never_committed(settings: Settings) -> None:
    """Stock Faust logs the failed send and commits past it: the signal is gone.

    The first stop blames the first record of the refused producer batch; from then on records go one
    by one, and the third time at the guilty one makes it a dead letter.
    """
    n = settings.signal_partitions
    large = raw(batch_of(SMALL // 2, names=MAX_NAMES), n)
    await ensure_topics(settings, pipeline_topics(settings))
    await limit_signals(settings, 2_000)
    async with probe(settings) as found:
        for number in range(SMALL):
            await found.send("signals.raw", [large if number == SMALL // 2 else raw(batch_of(number), n)])
        stops: list[int] = []
        while len(stops) < 4:
            with worker(settings, "dedupe", tag=f"-{len(stops)}") as running:
                await until(lambda: ended_or_through(found, running), "an end", log=lambda: running.log)
                if running.returncode is None:
                    break
                stops.append(running.returncode)
                assert await found.lag("dedupe", "signals.raw") > 0
                assert await found.count("dead-letters") == 0
        assert stops in ([EXIT_CODE] * 2, [EXIT_CODE] * 3)
        letters = await found.read("dead-letters")
        keys = {record.key for record in await found.read("signals")}
    assert [(letter.key, letter.headers["stage"], letter.headers["attempts"]) for letter in letters] == [
        (large[0], b"dedupe", b"3")
    ]
    assert letters[0].value == large[1]
    assert keys == {raw(batch_of(number), n)[0] for number in range(SMALL) if number != SMALL // 2}


async def ended_or_through(found: Probe, running: Worker) -> bool:
    return running.returncode is not None or await found.lag("dedupe", "signals.raw") == 0


async def test_hold_a_table_is_written_only_behind_the_forward(app: SafeApp, settings: Settings) -> None:
    """Else the changelog may overtake the forward; test_kill_agents.py shows what is lost then."""
    state = app.held_table("seen", settings.signal_partitions)
    state.table = table = Table()
    sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    state.put(Event(3), b"key", b"one", after=sent)
    state.put(Event(3), b"key", b"two")
    assert (state.get(Event(3), b"key"), table) == (b"two", {})
    sent.set_result(None)
    await asyncio.sleep(0)
    assert table == {b"key": b"two"}


async def test_hold_what_belongs_to_a_revoked_partition_is_discarded(
    app: SafeApp, settings: Settings
) -> None:
    state = app.held_table("seen", settings.signal_partitions)
    state.table = table = Table()
    gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    state.put(Event(3), b"gone", b"1", after=gone)
    state.put(Event(4), b"kept", b"1", after=kept)
    asyncio.get_running_loop().call_later(0.05, kept.set_result, None)
    state.timeout_s = 0.1
    await state.release([TP("t", 3)])
    gone.set_result(None)
    await asyncio.sleep(0.1)
    assert table == {b"kept": b"1"}


class Table(dict[bytes, bytes]):
    """As much of Faust's table as state asks for."""

    name = "seen"


class Event:
    """As much of Faust's event as state asks for."""

    def __init__(self, partition: int) -> None:
        self.message = type("Message", (), {"partition": partition})()


async def test_safe_commit_waits_for_sends_begun_before_it(
    app: SafeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed: list[Any] = []

    async def stock_commit(_self: Any, offsets: Any) -> bool:
        committed.append(offsets)
        return True

    monkeypatch.setattr(driver.Consumer, "_commit", stock_commit)
    sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    app.delivery.track(sent)
    commit = asyncio.ensure_future(stock(app)._commit({TP("t", 0): 5}))
    for _ in range(10):
        await asyncio.sleep(0)
    assert committed == []
    sent.set_result(None)
    assert await commit
    assert committed == [{TP("t", 0): 5}]


async def test_safe_seek_nothing_flows_while_seeking(app: SafeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = stock(app)
    flowing = []

    async def seek_to_committed() -> dict[TP, int]:
        flowing.append(consumer.flow_active)
        return {TP("t", 0): 7}

    monkeypatch.setattr(consumer, "seek_to_committed", seek_to_committed)
    consumer.resume_flow()
    await consumer.perform_seek()
    assert flowing == [False]


async def test_safe_seek_what_has_no_commit_starts_at_the_beginning(
    app: SafeApp, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka seeks committed partitions alone: elsewhere, what was read and dropped would be skipped."""
    app.held_table("seen", settings.signal_partitions)
    changelog = TP(f"{settings.group('test')}-seen-changelog", 0)
    assert changelog.topic in app.tables.changelog_topics
    consumer = stock(app)
    rewound: list[TP] = []

    async def seek_to_committed(_self: Any) -> dict[TP, int | None]:
        return {TP("t", 0): 7, TP("t", 1): None, TP("t", 2): 0, changelog: None}

    async def seek_to_beginning(*partitions: TP) -> None:
        rewound.extend(partitions)

    monkeypatch.setattr(driver.Consumer, "seek_to_committed", seek_to_committed)
    monkeypatch.setattr(consumer._thread, "seek_to_beginning", seek_to_beginning)
    await consumer.perform_seek()
    assert rewound == [TP("t", 1), TP("t", 2)]
    assert {tp: consumer._read_offset[tp] for tp in (TP("t", 0), TP("t", 1))} == {
        TP("t", 0): 7,
        TP("t", 1): None,
    }


async def test_gap_the_record_behind_a_gap_is_not_acked(
    app: SafeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offsets 3 and 4 are missing (a compacted topic, a transaction's marker); 5 has just arrived."""
    consumer, tp = stock(app), TP("t", 0)
    consumer._committed_offset[tp] = 0
    consumer._acked[tp] = [0, 1, 2]
    await consumer._add_gap(tp, 3, 5)
    consumer._acked[tp].append(6)
    assert consumer._new_offset(tp) == 5, "5 was never handled: a commit may go up to it, not past it"
