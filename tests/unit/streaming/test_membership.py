"""Records are held back while it is not certain that the group still counts a worker in."""

import asyncio
import time
from typing import Any

import pytest
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.produce import ProduceRequest

from app.errors import Fenced
from app.streaming.membership import Membership


class Coordinator:
    """As much of aiokafka's as is watched."""

    group_id = "g"
    _performed_join_prepare = False

    def __init__(self) -> None:
        self._closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.generation = 7
        self.alive = True

    async def _on_join_complete(self, *_: Any) -> None: ...

    async def _do_heartbeat(self) -> bool:
        return self.alive

    def reset_generation(self) -> None:
        self.generation = -1


class Client:
    """As much of aiokafka's as is guarded."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    async def send(self, _node_id: int, request: Any, **_: Any) -> None:
        self.sent.append(request)


@pytest.fixture
def losses() -> list[BaseException]:
    return []


def produce() -> Any:
    return ProduceRequest(None, -1, 1000, [])


async def test_records_wait_for_a_heartbeat_that_comes_through(losses: list[BaseException]) -> None:
    membership, coordinator, client = Membership(0.05, losses.append), Coordinator(), Client()
    membership.watch(coordinator)
    membership.guard(client)
    await coordinator._on_join_complete()
    await client.send(0, produce())
    await asyncio.sleep(0.1)
    assert not membership.certain
    sending = asyncio.create_task(client.send(0, produce()))
    await client.send(0, MetadataRequest([]))
    assert len(client.sent) == 2
    coordinator.alive = False
    await coordinator._do_heartbeat()
    assert not sending.done()
    coordinator.alive = True
    await coordinator._do_heartbeat()
    await asyncio.wait_for(sending, 5)
    assert losses == []


async def held(membership: Membership, coordinator: Coordinator) -> tuple[Client, "asyncio.Task[None]"]:
    """A send for which no heartbeat comes."""
    client = Client()
    membership.watch(coordinator)
    membership.guard(client)
    await coordinator._on_join_complete()
    await asyncio.sleep(0.1)
    return client, asyncio.create_task(client.send(0, produce()))


async def test_what_is_held_back_when_the_consumer_ends_ends_the_worker(losses: list[BaseException]) -> None:
    """No heartbeat comes any more, and the producer waits for its last records."""
    membership, coordinator = Membership(0.05, losses.append), Coordinator()
    client, sending = await held(membership, coordinator)
    await asyncio.sleep(0.1)
    assert not sending.done()
    coordinator._closing.set_result(None)
    with pytest.raises(Fenced, match="no heartbeat"):
        await asyncio.wait_for(sending, 5)
    assert [type(loss) for loss in losses] == [Fenced]
    assert client.sent == []


async def test_records_are_not_held_back_for_ever(
    losses: list[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.streaming.membership.HELD_S", 0.1)
    client, sending = await held(Membership(0.05, losses.append), Coordinator())
    with pytest.raises(Fenced, match="no heartbeat"):
        await asyncio.wait_for(sending, 5)
    assert [type(loss) for loss in losses] == [Fenced]
    assert client.sent == []


async def test_an_orderly_end_sends_the_last_records(losses: list[BaseException]) -> None:
    membership, coordinator, client = Membership(8.0, losses.append), Coordinator(), Client()
    membership.watch(coordinator)
    membership.guard(client)
    await coordinator._on_join_complete()
    coordinator._closing.set_result(None)
    await asyncio.wait_for(client.send(0, produce()), 5)
    assert (len(client.sent), losses) == (1, [])


async def test_time_in_suspension_counts(
    losses: list[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the kernel's clocks, only one goes on then; the date may be set at any time."""
    membership, coordinator = Membership(8.0, losses.append), Coordinator()
    membership.watch(coordinator)
    await coordinator._on_join_complete()
    today, boot = time.time, time.clock_gettime
    monkeypatch.setattr(time, "time", lambda: today() + 86_400)
    told = [membership.certain]
    monkeypatch.setattr(time, "clock_gettime", lambda clock: boot(clock) + 9 * (clock == time.CLOCK_BOOTTIME))
    told.append(membership.certain)
    await coordinator._do_heartbeat()
    assert [*told, membership.certain] == [True, False, True]


async def test_a_lost_membership_is_told(losses: list[BaseException]) -> None:
    membership, coordinator = Membership(8.0, losses.append), Coordinator()
    membership.watch(coordinator)
    coordinator.reset_generation()
    assert coordinator.generation == -1
    assert isinstance(losses[0], Fenced)


async def test_what_was_given_up_before_is_no_loss(losses: list[BaseException]) -> None:
    """Partitions revoked in an orderly way, and an orderly end."""
    for given_up in ("_performed_join_prepare", "_closing"):
        coordinator = Coordinator()
        Membership(8.0, losses.append).watch(coordinator)
        if given_up == "_closing":
            coordinator._closing.set_result(None)
        else:
            coordinator._performed_join_prepare = True
        coordinator.reset_generation()
    assert losses == []
