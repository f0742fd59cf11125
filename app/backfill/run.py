"""A backfill from its first block to its last receipt; begun anew, or gone on with."""

import asyncio
import re
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.backfill import measures
from app.backfill.crew import Crew
from app.backfill.feeder import IN_FLIGHT, Gate, Sent, feed
from app.backfill.lags import Lags
from app.backfill.ledger import TOPICS, Ledger
from app.backfill.measures import Pace
from app.backfill.plan import (
    GAP_WAIT_S,
    Begun,
    Plan,
    check_same,
    plan_topic,
    read_plan,
    settings_of,
    write_plan,
)
from app.backfill.sources import History, open_source
from app.config import NAMESPACE, Settings
from app.errors import ConfigurationError, Transient
from app.kafka_client import client_options
from app.labels.watch import LabelSource
from app.observe import metrics
from app.processors.registry import enabled_processors
from app.query.kafka import Reader, open_reader
from app.sources.ingest import BlockProducer
from app.sources.resume import resume_point
from app.streaming.record import of_aiokafka
from app.streaming.topics import ensure_topics, pipeline_topics
from app.supervisor import worker_commands

POLL_S = 0.2
LOOK_S = 0.5
"""Pause between two looks at the lags."""
QUIET_S = GAP_WAIT_S + 15.0
"""After so long with nothing on its way, blocks that have no signals will have none."""
MOST_BLOCKS = 1_000_000
NICENESS = 15


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says; heights are included."""

    namespace: str
    chain: str
    first: int
    last: int
    source: str
    warm_up: int
    replace: bool
    processes: int
    metrics_port: int = 0
    """Of the command itself; its workers have the next ones. 0: none."""
    niceness: int = NICENESS
    """0 (as other programs) to 19 (behind all others)."""


@dataclass(slots=True)
class Progress:
    """As of now."""

    plan: Plan
    sent: Sent
    ledger: Ledger
    lags: dict[str, int]
    restarted: list[str]
    left_s: float | None = None
    """Estimated seconds."""


class Watch(Protocol):
    """Who is told."""

    def say(self, text: str) -> None:
        """A line for people."""

    def show(self, progress: Progress) -> None:
        """How far it is; several times a second."""

    def worker_says(self, line: str) -> None:
        """A line of a worker's output; on other threads."""


async def backfill(live: Settings, asked: Asked, watch: Watch) -> Progress:
    """Until everything is settled. From the main thread, where workers must be started.

    Raises SigstreamError; cancelled, it lets the workers finish what is in flight. Either way the same
    call goes on where it was. `check` comes first.
    """
    async with open_source(live, asked.source, asked.chain, asked.first, asked.last) as source:
        begun = await _begin(live, asked, source)
        settings = settings_of(live, asked.namespace, begun, asked.metrics_port)
        metrics.serve(live.model_copy(update={"metrics_port": asked.metrics_port}))
        await ensure_topics(settings, pipeline_topics(settings))
        return await _run(settings, begun.plan, source, asked, watch)


def check(live: Settings, asked: Asked) -> None:
    """Raises ConfigurationError for what can't be."""
    enabled_processors(live)
    LabelSource(live.labels)
    worker_commands(live)
    if not re.fullmatch(NAMESPACE, asked.namespace):
        raise ConfigurationError(
            f"--namespace {asked.namespace!r}: 1 to 80 letters, digits, `_` and `-`, like history-2024"
        )
    if asked.namespace == live.namespace:
        raise ConfigurationError(
            f"--namespace {asked.namespace} is the live pipeline's (SIGSTREAM_NAMESPACE): name one of its own"
        )
    if not asked.first <= asked.last:
        raise ConfigurationError(f"--from {asked.first} is above --to {asked.last}: exchange them")
    if asked.last - asked.first + 1 + asked.warm_up > MOST_BLOCKS:
        raise ConfigurationError(f"a backfill has at most {MOST_BLOCKS:,} blocks: make several of it")


async def _begin(live: Settings, asked: Asked, source: History) -> Begun:
    """The plan: the namespace's, or a new one. Raises ConfigurationError where it holds something else."""
    settings = live.model_copy(update={"namespace": asked.namespace})
    async with open_reader(settings) as reader:
        begun = await read_plan(settings, reader)
        if begun is None:
            await _check_unused(settings, reader)
            await ensure_topics(settings, [plan_topic(settings)])
            await write_plan(settings, _plan(asked, source))
            begun = await read_plan(settings, reader)
    if begun is None:
        raise Transient("Kafka does not show the plan that was just written: try again")
    check_same(asked.namespace, begun, _plan(asked, source))
    return begun


async def _check_unused(settings: Settings, reader: Reader) -> None:
    for topic in pipeline_topics(settings):
        if await reader.partitions(topic.name):
            raise ConfigurationError(
                f"namespace {settings.namespace} holds a pipeline that is no backfill (topic {topic.name}): "
                "take another --namespace"
            )


def _plan(asked: Asked, source: History) -> Plan:
    begin = source.lowest(max(0, asked.first - asked.warm_up))
    return Plan(
        chain=asked.chain,
        first=asked.first,
        last=asked.last,
        begin=min(begin, asked.first),
        replace=asked.replace,
        source=asked.source,
    )


async def _run(settings: Settings, plan: Plan, source: History, asked: Asked, watch: Watch) -> Progress:
    crew = Crew(settings, asked.processes, asked.niceness, watch.worker_says)
    progress = Progress(plan, Sent(), Ledger(), {}, [])
    try:
        async with AsyncExitStack() as stack:
            reader = await stack.enter_async_context(open_reader(settings))
            producer = await stack.enter_async_context(BlockProducer(settings))
            start = await _resume_at(settings, plan)
            progress.sent.height = start - 1
            watch.say(_beginning(plan, start))
            gate = Gate()
            await _together(
                _watched(settings, reader, progress, gate, watch),
                feed(producer, source.blocks(start, plan.last), gate, progress.sent),
                _supervised(crew, progress),
                _heard(settings, progress.ledger),
            )
    finally:
        await _let_go(crew)
    return progress


async def _let_go(crew: Crew) -> None:
    """Workers finish what is in flight; cancelled once more, they don't."""
    try:
        await asyncio.to_thread(crew.stop)
    except asyncio.CancelledError:
        crew.kill()
        raise


async def _resume_at(settings: Settings, plan: Plan) -> int:
    """A few blocks come twice, as the last ones may have holes between them; they change nothing."""
    last = (await resume_point(settings, plan.chain)).last
    return plan.begin if last is None else max(plan.begin, last + 1 - IN_FLIGHT)


def _beginning(plan: Plan, start: int) -> str:
    if start == plan.begin:
        return f"blocks {plan.begin} to {plan.first - 1} warm up" if plan.begin < plan.first else "no warm-up"
    return f"going on from block {start}"


async def _together(over: Awaitable[None], *work: Awaitable[None]) -> None:
    """Until the first one ends, or any fails; its error is raised. The others are ended."""
    tasks = [asyncio.ensure_future(each) for each in (over, *work)]
    try:
        left = set(tasks)
        while not tasks[0].done():
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _supervised(crew: Crew, progress: Progress) -> None:
    while True:
        crew.poll()
        progress.restarted = crew.restarted
        await asyncio.sleep(POLL_S)


async def _heard(settings: Settings, ledger: Ledger) -> None:
    """All answers since the backfill began."""
    consumer = AIOKafkaConsumer(
        **client_options(settings), client_id="sigstream-backfill", enable_auto_commit=False
    )
    await consumer.start()
    try:
        names = [settings.topic(topic) for topic in TOPICS]
        consumer.assign([TopicPartition(n, p) for n in names for p in range(settings.signal_partitions)])
        await consumer.seek_to_beginning()
        async for record in consumer:
            ledger.take(of_aiokafka(record))
    finally:
        await consumer.stop()


async def _watched(settings: Settings, reader: Reader, progress: Progress, gate: Gate, watch: Watch) -> None:
    """Until all is settled: every block, or nothing is on its way any more."""
    lags = Lags(settings, reader)
    clock = asyncio.get_running_loop().time
    moved, pace = clock(), Pace()
    while True:
        progress.lags = await lags.read()
        await gate.measured(max(progress.lags.values()))
        progress.left_s = pace.left_s(clock(), progress.ledger.blocks, progress.plan.blocks)
        _measure(settings.namespace, progress)
        watch.show(progress)
        if any(progress.lags.values()) or not progress.sent.over or not await lags.nothing_owed():
            moved = clock()
        elif progress.ledger.blocks >= progress.plan.blocks or clock() - moved > QUIET_S:
            return
        await asyncio.sleep(LOOK_S)


def _measure(namespace: str, progress: Progress) -> None:
    measures.blocks_wanted.labels(namespace).set(progress.plan.blocks)
    measures.blocks_stored.labels(namespace).set(progress.ledger.blocks)
    measures.signals_stored.labels(namespace).set(progress.ledger.signals)
    measures.seconds_left.labels(namespace).set(-1.0 if progress.left_s is None else progress.left_s)
