"""What the receipts agent makes of an event that a crash has left half written."""

from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from app.config import settings
from app.outstanding import Progress
from app.streaming.record import Record
from tests.support.signals import forwarded, receipts_for
from tests.support.table import Table

SIGNALS = "sigstream.signals"


class Agent:
    """The agent's code on a table of the test's own."""

    def __init__(self, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        self.module = module
        self.table = Table()
        self.announced = 0
        monkeypatch.setattr(module, "outstanding", self.table)
        monkeypatch.setattr(module.app, "forward", self._forward)
        module.mended.clear()

    async def _forward(self, *_: Any) -> None:
        self.announced += 1

    async def handle(self, record: Record) -> None:
        """As `join` does, without Faust's stream around it."""
        event = SimpleNamespace(message=SimpleNamespace(partition=0))
        await self.module.handle(event, record)

    async def torn(self, record: Record, kept: int) -> None:
        """A crash leaves so many of the event's writes; the record comes again."""
        before = dict(self.table.content)
        self.table.log = []
        await self.handle(record)
        self.table.content = before
        self.table.apply(self.table.log[:kept])
        self.module.mended.clear()
        await self.handle(record)

    @property
    def owed(self) -> dict[str, int]:
        found: Progress = self.module.PROGRESS.decode(self.table.content[b"0/meta"])
        return {sink: count for sink, count in found.outstanding.items() if count}


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Agent:
    settings.cache_clear()
    monkeypatch.setenv("SIGSTREAM_KAFKA", "127.0.0.1:1")
    from topologies import receipts

    return Agent(receipts, monkeypatch)


def records() -> list[Record]:
    """One record of `signals`, and the receipts of its two sinks."""
    (signals,) = forwarded(1, "a,b", 1)
    answers = [receipts_for([signals], SIGNALS, sink)[0] for sink in ("a", "b")]
    places = [(SIGNALS, 0), ("sigstream.signals.persisted", 0), ("sigstream.signals.persisted", 1)]
    return [
        Record(topic, 0, offset, 1, key, value, dict(headers))
        for (topic, offset), (key, value, _, headers) in zip(places, [signals, *answers], strict=True)
    ]


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (1, 0, 2)])
@pytest.mark.parametrize("torn", [0, 1, 2])
@pytest.mark.parametrize("kept", [0, 1, 2])
async def test_an_event_that_was_torn_counts_once(
    agent: Agent, order: tuple[int, ...], torn: int, kept: int
) -> None:
    for number, index in enumerate(order):
        record = records()[index]
        await (agent.torn(record, kept) if number == torn else agent.handle(record))
    assert agent.announced >= 1
    assert agent.owed == {}
    assert list(agent.table.content) == [b"0/meta"]
