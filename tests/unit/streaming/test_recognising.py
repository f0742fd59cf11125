"""A worker asks which Kafka it is on without keeping its group waiting, and goes on where nobody answers."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import TopicAuthorizationFailedError
from faust.transport.drivers import aiokafka as driver

from app.config import Settings
from app.errors import ConfigurationError, StateFailed, Transient
from app.streaming import epoch
from app.streaming.delivery import Delivery, SafeConsumer

Answer = str | None | Exception
OWN, OTHER = "cluster.own", "cluster.other"


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Answer]:
    """What Kafka says, one look after the other; then nothing any more."""
    found: list[Answer] = []

    async def read_epoch(_: Settings) -> str | None:
        if not found:
            await asyncio.Event().wait()
        answer = found.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(epoch, "read_epoch", read_epoch)
    monkeypatch.setattr(epoch, "ABSENT_S", 0.01)
    return found


@pytest.mark.parametrize(
    ("said", "same"),
    [
        ([OWN], True),
        ([OTHER], False),
        ([None, None], False),
        ([None, OWN], True),
        ([None, OTHER], False),
        ([None, Transient("no leader"), None], False),
        ([Transient("no leader"), ConfigurationError("a certificate rotates"), OWN], True),
        ([TypeError("a mark without a key"), OTHER], False),
    ],
)
async def test_it_is_asked_until_it_is_known(answers: list[Answer], said: list[Answer], same: bool) -> None:
    answers.extend(said)
    assert await asyncio.wait_for(epoch.is_still(Settings(), OWN), 5) is same
    assert answers == []


@pytest.mark.parametrize(("code", "there"), [(0, True), (3, False)])
def test_only_kafka_says_what_is_missing(code: int, there: bool) -> None:
    assert epoch._exists({"topic": "t", "error_code": code}) is there


def test_what_may_not_be_seen_is_not_missing() -> None:
    with pytest.raises(TopicAuthorizationFailedError):
        epoch._exists({"topic": "t", "error_code": 29})


class Consumer(SafeConsumer):
    """Without Faust's services around it."""

    def __init__(self, failures: list[BaseException]) -> None:
        delivery = Delivery(lambda error, _: failures.append(error))
        self.app = SimpleNamespace(settings=Settings(), epoch=OWN, delivery=delivery)

    def add_future(self, coro: Any) -> "asyncio.Future[Any]":
        return asyncio.create_task(coro)


@pytest.fixture
def failures() -> list[BaseException]:
    return []


@pytest.fixture
def assigned(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What Faust was told."""
    told: list[Any] = []

    async def on_partitions_assigned(_: Any, partitions: set[Any], _generation: int) -> None:
        told.append(partitions)

    monkeypatch.setattr(driver.Consumer, "on_partitions_assigned", on_partitions_assigned)
    monkeypatch.setattr("app.streaming.delivery.RECOGNISE_S", 0.05)
    return told


async def test_a_silent_kafka_does_not_hold_the_assignment_up(
    answers: list[Answer], assigned: list[Any], failures: list[BaseException]
) -> None:
    consumer = Consumer(failures)
    async with asyncio.timeout(5):
        await consumer.on_partitions_assigned({"a"})
        first = consumer._recognising
        await consumer.on_partitions_assigned({"a", "b"})
    assert (assigned, failures) == ([{"a"}, {"a", "b"}], [])
    assert first is not None
    assert first.cancelled()
    assert consumer._recognising is not None
    assert not consumer._recognising.done()
    consumer._recognising.cancel()


async def test_any_error_lets_the_assignment_go_on(
    answers: list[Answer], assigned: list[Any], failures: list[BaseException]
) -> None:
    answers.extend([ConfigurationError("a certificate rotates"), TypeError("a mark without a key"), OWN])
    await asyncio.wait_for(Consumer(failures).on_partitions_assigned({"a"}), 5)
    assert (assigned, failures) == ([{"a"}], [])


async def test_another_kafka_ends_the_worker_even_when_it_answers_late(
    answers: list[Answer], assigned: list[Any], failures: list[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(epoch, "ABSENT_S", 0.2)
    answers.extend([Transient("no leader"), OTHER])
    consumer = Consumer(failures)
    await consumer.on_partitions_assigned({"a"})
    assert (assigned, failures) == ([{"a"}], [])
    assert consumer._recognising is not None
    await asyncio.wait_for(consumer._recognising, 5)
    assert [type(error) for error in failures] == [StateFailed]
