"""How much of a backlog is held, in bytes."""

import asyncio
import gc

from app.streaming.backlog import Backlog


class Message:
    """As much of Faust's as is counted."""

    def __init__(self, size: int) -> None:
        self.value = bytes(size)


class Knot(Message):
    """One that only the garbage collector takes."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.itself = self


async def test_nothing_more_is_wanted_until_enough_is_let_go() -> None:
    backlog = Backlog(most_bytes=240)
    held = [Message(60) for _ in range(5)]
    for message in held:
        backlog.add(message)
    del message
    waiting = asyncio.create_task(backlog.room(lambda: True))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    held.pop()
    assert not waiting.done()
    held.pop()
    await asyncio.wait_for(waiting, 5)
    assert backlog.bytes == 180


async def test_it_does_not_wait_for_what_nobody_holds_any_more() -> None:
    gc.disable()
    try:
        backlog = Backlog(most_bytes=100)
        for _ in range(4):
            backlog.add(Knot(200))
        assert backlog.bytes == 100
        await asyncio.wait_for(backlog.room(lambda: True), 30)
    finally:
        gc.enable()
    assert backlog.bytes == 0


async def test_a_rebalance_ends_the_wait() -> None:
    backlog = Backlog(most_bytes=100)
    held = [Message(200) for _ in range(4)]
    for message in held:
        backlog.add(message)
    await asyncio.wait_for(backlog.room(lambda: False), 5)


async def test_one_large_record_leaves_room_for_the_next_one() -> None:
    """Faust lets go of a record when the next one comes."""
    backlog = Backlog(most_bytes=100)
    held = [Message(5000), Message(100), Message(100)]
    for message in held:
        backlog.add(message)
    await asyncio.wait_for(backlog.room(lambda: True), 5)
