"""Records of `signals` into one sink's store once more, by the sink's own code; no receipts are sent."""

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import TypeVar

from aiokafka import TopicPartition

from app.config import Settings
from app.errors import ConfigurationError, Transient
from app.observe import metrics
from app.query.kafka import Reader
from app.replay.asked import Asked, Range, ranges_of
from app.replay.job import Job, Mark, Place, join_group, read_places
from app.replay.records import Held, read_records
from app.replay.tally import Tally
from app.replay.watch import Counted, Watch
from app.sinks.base import Sink, SinkRecord
from app.sinks.registry import build
from app.sinks.worker import pauses

T = TypeVar("T")

RETRY_S = 60.0
"""How long a store that does not answer is waited for."""


def group_of(settings: Settings, sink: str) -> str:
    """The group of replays to a sink."""
    return settings.group(f"replay.{sink}")


async def spans_of(settings: Settings, reader: Reader, asked: Asked, sink: str) -> list[Range]:
    """What is asked for, as far as the sink's worker has come: what is behind that is its own to write.

    Raises ConfigurationError where it has written nothing yet.
    """
    ranges = await ranges_of(reader, settings.topic("signals"), asked)
    committed = await reader.committed(settings.group(f"sink.{sink}"))
    done = {tp: offset for tp, offset in committed.items() if offset >= 0}
    if not done and any(span.end for span in ranges):
        raise ConfigurationError(
            f"the worker of sink {sink} has read nothing of {settings.topic('signals')} yet: start "
            f"`sigstream worker sink {sink}` instead, it begins at the beginning"
        )
    return [_cut(span, done.get(span.tp, 0)) for span in ranges]


def _cut(span: Range, end: int) -> Range:
    return Range(span.tp, span.first, max(span.first, min(span.end, end)))


class Progress(Enum):
    """How far a job is with a sink, by its marks."""

    NONE = auto()
    STOPPED = auto()
    DONE = auto()


async def progress_of(settings: Settings, reader: Reader, job: str, sink: str) -> Progress:
    """How far the last replay to this sink is, if it was the same job. Raises Transient."""
    partitions = await reader.partitions(settings.topic("signals"))
    places = await read_places(settings, group_of(settings, sink), partitions) if partitions else {}
    mine = [place for place in places.values() if place.mark.job == job]
    if not mine:
        return Progress.NONE
    return Progress.DONE if all(place.done for place in mine) else Progress.STOPPED


class StoreReplay:
    """One replay to one sink."""

    def __init__(self, settings: Settings, asked: Asked, sink: str, watch: Watch, job: str) -> None:
        """`job`: what makes it the same, a replay of it goes on where it stopped."""
        self._settings = settings
        self._asked = asked
        self._job = job
        self._name = sink
        self._sink: Sink = build(sink, settings)
        self._watch = Counted(watch, sink)
        self._acquired: set[TopicPartition] = set()
        self.tally = Tally()

    async def run(self, reader: Reader) -> None:
        """To the end. Raises SigstreamError; what is committed by then is done."""
        ranges = await spans_of(self._settings, reader, self._asked, self._name)
        group = group_of(self._settings, self._name)
        topic = self._settings.topic("signals")
        async with join_group(self._settings, reader, group, topic, [span.tp for span in ranges]) as job:
            places = self._resume(job, ranges)
            await job.commit(places)
            try:
                await self._persist(self._sink.open)
                for tp, place in places.items():
                    await self._partition(reader, job, tp, place)
            finally:
                await self._sink.close()

    def _resume(self, job: Job, ranges: list[Range]) -> dict[TopicPartition, Place]:
        """Where each partition begins: anew, or where a replay of the same stopped."""
        known = {tp: place for tp, place in job.places.items() if place.mark.job == self._job}
        left = {tp: place for tp, place in known.items() if not place.done}
        stopped = bool(left) and set(known) == {span.tp for span in ranges}
        places = known if stopped else {span.tp: _anew(job, span, self._job) for span in ranges}
        total = sum(place.mark.end - place.mark.first for place in places.values())
        rest = sum(max(0, place.mark.end - place.offset) for place in places.values())
        if stopped:
            self._watch.say(
                f"{self._name}: goes on where it stopped, {total - rest} of {total} records are done"
            )
        self._watch.begin(self._name, rest)
        return places

    async def _partition(self, reader: Reader, job: Job, tp: TopicPartition, place: Place) -> None:
        begin = (await reader.bounds([tp]))[tp][0]
        held = Held(self._settings)
        offset = first = max(place.offset, begin)
        async for at, content in read_records(reader, Range(tp, first, place.mark.end), self._asked.heights):
            offset = at + 1
            held.add(content)
            if held.full:
                await self._write(job, tp, held.take())
                await self._advance(job, tp, offset, offset - first)
                first = offset
        await self._write(job, tp, held.take())
        await self._advance(job, tp, place.mark.end, place.mark.end - first)

    async def _advance(self, job: Job, tp: TopicPartition, offset: int, count: int) -> None:
        await self._persist(lambda: job.commit({tp: Place(offset, job.places[tp].mark)}))
        self._watch.advance(count)

    async def _write(self, job: Job, tp: TopicPartition, batch: list[SinkRecord]) -> None:
        if not batch:
            return
        if tp not in self._acquired:
            await self._persist(lambda: self._acquire(job, tp))
            self._acquired.add(tp)
        written = await self._persist(lambda: self._sink.write(batch))
        for record, answers in zip(batch, written, strict=True):
            for signal, answer in zip(record.batch.signals, answers, strict=True):
                self.tally.count(signal.name, answer.outcome)
                if answer.reason is not None:
                    self.tally.reasons.setdefault(signal.name, answer.reason)
                metrics.replay_signals.labels(self._name, answer.outcome).inc()

    async def _acquire(self, job: Job, tp: TopicPartition) -> None:
        """The sink fences the former replay of this partition, never the worker: this group's state."""
        place = job.places[tp]

        async def save(state: str) -> None:
            mark = place.mark
            mine = Mark(mark.job, mark.first, mark.end, state)
            await job.commit({tp: Place(place.offset, mine)})

        await self._sink.acquire(tp.partition, place.offset, place.mark.state, save)

    async def _persist(self, step: Callable[[], Awaitable[T]]) -> T:
        """Try for a minute while the store, or Kafka, does not answer."""
        deadline = asyncio.get_running_loop().time() + RETRY_S
        for pause in pauses(self._settings.sink_retry_cap_s):
            try:
                return await step()
            except Transient as error:
                if asyncio.get_running_loop().time() + pause > deadline:
                    raise
                self._watch.say(f"{self._name} waits: {error}")
            await asyncio.sleep(pause)
        raise AssertionError("pauses have no end")


def _anew(job: Job, span: Range, name: str) -> Place:
    """The state stays: its writer is to be fenced."""
    before = job.places.get(span.tp)
    return Place(span.first, Mark(name, span.first, span.end, before.mark.state if before else None))
