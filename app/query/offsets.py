"""Topics and consumer groups in numbers: records, members, lag."""

from dataclasses import dataclass

from app.config import Settings
from app.query.kafka import Reader
from app.streaming.topics import pipeline_topics

READS = {"blocks": ("blocks", "block-features", "mempool"), "dedupe": ("signals.raw",)}
"""Stage -> topics that its group reads; sinks read `signals`."""
LAST = {"receipts": ("signals", "signals.persisted")}
"""The same for the stage that answers behind the sinks."""


@dataclass(frozen=True, slots=True)
class TopicStatus:
    """`records` is end minus begin: compaction and gaps are not subtracted."""

    name: str
    partitions: int
    records: int


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """A stage's group; `lag` counts records that are not committed, by topic."""

    stage: str
    group: str
    state: str
    members: int
    lag: dict[str, int]

    @property
    def total_lag(self) -> int:
        """Of all its topics."""
        return sum(self.lag.values())


async def topic_status(settings: Settings, reader: Reader) -> list[TopicStatus]:
    """All topics of the pipeline; one that does not exist has no partitions."""
    found = []
    for topic in pipeline_topics(settings):
        bounds = await reader.bounds(await reader.partitions(topic.name))
        found.append(TopicStatus(topic.name, len(bounds), sum(end - begin for begin, end in bounds.values())))
    return found


async def group_status(settings: Settings, reader: Reader) -> list[GroupStatus]:
    """All stages that a signal passes, in its order, running or not.

    Lags are read in that order, each end after its commit: when all are 0, nothing was on its way.
    """
    stages = (*READS, *(f"sink.{name}" for name in settings.required_sinks), *LAST)
    return [
        GroupStatus(
            stage,
            settings.group(stage),
            *await reader.group(settings.group(stage)),
            await _lag(settings, reader, stage),
        )
        for stage in stages
    ]


async def _lag(settings: Settings, reader: Reader, stage: str) -> dict[str, int]:
    committed = await reader.committed(settings.group(stage))
    lag = {}
    for name in (READS | LAST).get(stage, ("signals",)):
        bounds = await reader.bounds(await reader.partitions(settings.topic(name)))
        lag[name] = sum(end - max(begin, committed.get(tp, -1)) for tp, (begin, end) in bounds.items())
    return lag
