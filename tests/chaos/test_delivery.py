"""The four parts of safe delivery, each by itself: a test fails when its part is taken out."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from app.config import Settings
from app.model.signal import MAX_NAMES
from app.streaming.app import SafeApp, create_app
from app.streaming.attempts import Attempts
from app.streaming.delivery import EXIT_CODE, HeldState
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


@pytest.fixture
def table() -> "Table":
    """What state writes to; the changelog acknowledges when the test says so."""
    return Table()


def state_of(app: SafeApp, table: "Table") -> HeldState:
    return HeldState(table, app.delivery, timeout_s=0.1)


def future() -> "asyncio.Future[None]":
    return asyncio.get_running_loop().create_future()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_hold_a_table_is_written_only_behind_the_forward(app: SafeApp, table: "Table") -> None:
    """Else the changelog may overtake the forward; test_kill_agents.py shows what is lost then."""
    state, sent = state_of(app, table), future()
    state.put(Event(3), b"key", b"one", after=sent)
    state.put(Event(3), b"key", b"two")
    await settle()
    assert (state.get(Event(3), b"key"), table.changelog) == (b"two", [])
    sent.set_result(None)
    await settle()
    assert (table.changelog, table.data) == ([(3, b"key", b"one"), (3, b"key", b"two")], {})


async def test_hold_the_local_database_is_never_ahead_of_the_changelog(app: SafeApp, table: "Table") -> None:
    """Else a worker that takes over after a crash does not know what its predecessor has committed."""
    state = state_of(app, table)
    state.put(Event(3), b"key", b"one")
    assert (table.changelog, table.data) == ([(3, b"key", b"one")], {})
    assert state.get(Event(3), b"key") == b"one"
    table.acknowledge()
    assert (table.data, table.data.persisted) == ({b"key": b"one"}, 0)
    state.put(Event(3), b"key", None)
    table.acknowledge()
    assert (table.data, state.get(Event(3), b"key")) == ({}, None)


async def test_hold_writes_of_a_key_keep_their_order_whatever_is_acknowledged_first(
    app: SafeApp, table: "Table"
) -> None:
    state, first, second = state_of(app, table), future(), future()
    state.put(Event(3), b"order", b"tip 101, after blocks 100 and 101", after=first)
    state.put(Event(3), b"order", b"tip 102", after=second)
    second.set_result(None)
    await settle()
    assert table.changelog == []
    first.set_result(None)
    await settle()
    assert [value for _, _, value in table.changelog] == [b"tip 101, after blocks 100 and 101", b"tip 102"]


@pytest.mark.parametrize("second_waits", [False, True])
async def test_hold_a_write_does_not_overtake_one_whose_acknowledgement_has_just_come(
    app: SafeApp, table: "Table", second_waits: bool
) -> None:
    """A future is done before its callbacks run: in between, the agent may be at the next record."""
    state, first, second = state_of(app, table), future(), future()
    state.put(Event(3), b"key", b"one", after=first)
    first.set_result(None)
    second.set_result(None)
    state.put(Event(3), b"key", b"two", after=second if second_waits else None)
    state.put(Event(3), b"key", b"three")
    assert state.get(Event(3), b"key") == b"three"
    await settle()
    assert [value for _, _, value in table.changelog] == [b"one", b"two", b"three"]


@pytest.mark.parametrize("acknowledged", ["together", "the later one first"])
async def test_hold_writes_of_several_keys_keep_the_order_of_their_puts(
    app: SafeApp, table: "Table", acknowledged: str
) -> None:
    """What undoes a torn event is deleted last: were it deleted early, nothing would protect the rest."""
    state, first, second = state_of(app, table), future(), future()
    puts = [(b"undo", b"u"), (b"block 1", b"b"), (b"tip", b"t"), (b"undo", None)]
    for key, value in puts:
        state.put(Event(3), key, value, after=first)
    state.put(Event(3), b"block 2", b"c", after=second)
    if acknowledged == "together":
        first.set_result(None)
    second.set_result(None)
    await settle()
    if acknowledged != "together":
        assert table.changelog == []
        first.set_result(None)
        await settle()
    assert table.changelog == [(3, key, value) for key, value in [*puts, (b"block 2", b"c")]]


async def test_hold_what_belongs_to_a_revoked_partition_is_discarded(app: SafeApp, table: "Table") -> None:
    state, gone, kept = state_of(app, table), future(), future()
    state.put(Event(3), b"gone", b"1", after=gone)
    state.put(Event(4), b"kept", b"1", after=kept)
    await state.release([TP("t", 3)])
    gone.set_result(None)
    kept.set_result(None)
    await settle()
    assert table.changelog == [(4, b"kept", b"1")]


async def test_hold_a_record_that_is_being_handled_is_waited_for(
    app: SafeApp, table: "Table", monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Else it writes to the changelog when the partition is somebody else's."""
    app.attempts = Attempts(tmp_path)
    state, going = state_of(app, table), future()
    app.states.append(state)

    async def nothing(*_: Any) -> None:
        """Of Faust's own part."""

    async def handler(event: Any, _record: Any) -> None:
        await going
        state.put(event, b"key", b"1")

    monkeypatch.setattr(driver.Consumer, "on_partitions_revoked", nothing)
    monkeypatch.setattr(driver.Consumer, "commit", nothing)
    handling = asyncio.ensure_future(app._guard(handler, Event(3)))
    revoking = asyncio.ensure_future(stock(app).on_partitions_revoked({TP("t", 3)}))
    await settle()
    assert not revoking.done()
    going.set_result(None)
    await handling
    table.acknowledge()
    await revoking
    assert table.data == {b"key": b"1"}


class Data(dict[bytes, bytes]):
    """As much of a Faust store as state asks for."""

    persisted: int | None = None

    def set_persisted_offset(self, _partition: Any, offset: int) -> None:
        self.persisted = offset


class Table:
    """As much of a Faust table as state asks for."""

    name = "seen"

    def __init__(self) -> None:
        self.data = Data()
        self.changelog_topic = self
        self.changelog: list[tuple[int, bytes, bytes | None]] = []
        self._callbacks: list[Callable[[Any], None]] = []

    def get(self, key: bytes) -> bytes | None:
        return self.data.get(key)

    def send_soon(
        self, *, key: bytes, value: bytes | None, partition: int, callback: Callable[[Any], None], **_: Any
    ) -> None:
        self.changelog.append((partition, key, value))
        self._callbacks.append(callback)

    def acknowledge(self) -> None:
        """All that was sent, in order."""
        for offset, callback in enumerate(self._callbacks):
            done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            done.set_result(SimpleNamespace(topic_partition=TP("changelog", 3), offset=offset))
            callback(done)
        self._callbacks.clear()


class Event:
    """As much of Faust's event as state asks for."""

    def __init__(self, partition: int) -> None:
        self.message = SimpleNamespace(
            topic="t", partition=partition, offset=0, timestamp=0.0, key=None, value=None, headers=None
        )


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

    async def are_fresh(_partitions: Any) -> bool:
        return True

    monkeypatch.setattr(driver.Consumer, "seek_to_committed", seek_to_committed)
    monkeypatch.setattr(consumer, "_are_fresh", are_fresh)
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
