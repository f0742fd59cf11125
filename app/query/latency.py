"""How long blocks took from stage to stage, by the correlation id that follows them."""

from collections.abc import Iterable
from datetime import datetime
from statistics import quantiles
from typing import NamedTuple

from aiokafka import TopicPartition

from app.config import Settings
from app.model.receipt import RECEIPT_DECODER
from app.model.wire import decode
from app.query.kafka import Reader
from app.streaming.record import Record

TOPICS = ("blocks", "block-features", "signals.raw", "signals", "signals.persisted", "signals.settled")

Offsets = dict[TopicPartition, int]
Times = dict[str, dict[str, datetime]]
"""Stage -> correlation id -> when it was done with the last of that id's records."""


class Latency(NamedTuple):
    """Of one stage, over blocks, in seconds: from the stage before, and from the block's append."""

    stage: str
    blocks: int
    own_p50: float
    own_p95: float
    total_p50: float
    total_p95: float


async def ends(settings: Settings, reader: Reader) -> Offsets:
    """Where the topics end now: `read_times` from there on sees only what comes later."""
    found: Offsets = {}
    for topic in TOPICS:
        bounds = await reader.bounds(await reader.partitions(settings.topic(topic)))
        found |= {tp: end for tp, (_, end) in bounds.items()}
    return found


async def read_times(settings: Settings, reader: Reader, since: Offsets, ids: set[str]) -> Times:
    """When each stage was done with the records of these correlation ids. Raises Transient."""
    times: Times = {}
    for tp, (begin, end) in (await reader.bounds(list(since))).items():
        async for record in reader.read(tp, max(begin, since[tp]), end):
            if record.correlation_id in ids:
                _note(times, record.topic.removeprefix(f"{settings.namespace}."), record)
    return times


def _note(times: Times, topic: str, record: Record) -> None:
    stage, at = topic, record.appended_at
    if topic == "signals.persisted":
        receipt = decode(RECEIPT_DECODER, record.value, "receipt")
        if receipt.stage == "dedupe":
            return
        stage, at = f"sink.{receipt.stage}", receipt.finished_at
    seen = times.setdefault(stage, {})
    known = seen.get(record.correlation_id or "")
    seen[record.correlation_id or ""] = at if known is None else max(known, at)


def latencies(times: Times) -> list[Latency]:
    """A line a stage that any block has reached, in the pipeline's order."""
    sinks = sorted(stage for stage in times if stage.startswith("sink."))
    before: dict[str, tuple[str, ...]] = {
        "block-features": ("blocks",),
        "signals.raw": ("block-features",),
        "signals": ("signals.raw",),
        **dict.fromkeys(sinks, ("signals",)),
        "signals.settled": tuple(sinks),
    }
    return [_of_stage(times, stage, earlier) for stage, earlier in before.items() if times.get(stage)]


def _of_stage(times: Times, stage: str, earlier: Iterable[str]) -> Latency:
    own, total = [], []
    for block, at in times[stage].items():
        starts = [times[name][block] for name in earlier if block in times.get(name, {})]
        if starts and block in times.get("blocks", {}):
            # Clocks of worker and broker may differ by a moment.
            own.append(max(0.0, (at - max(starts)).total_seconds()))
            total.append(max(0.0, (at - times["blocks"][block]).total_seconds()))
    return Latency(stage, len(total), *percentiles(own), *percentiles(total))


def percentiles(values: list[float]) -> tuple[float, float]:
    """50th and 95th; of none, 0."""
    if len(values) < 2:
        return (values[0], values[0]) if values else (0.0, 0.0)
    cuts = quantiles(values, n=20, method="inclusive")
    return cuts[9], cuts[18]
