"""How far the stages of a namespace are behind: what paces a backfill, and tells when it is over."""

from aiokafka import TopicPartition

from app.config import Settings
from app.query.kafka import Reader
from app.query.offsets import LAST, READS
from app.query.outstanding import outstanding


class Lags:
    """Records that are not committed, by stage. The topics must be there."""

    def __init__(self, settings: Settings, reader: Reader) -> None:
        self._settings = settings
        self._reader = reader
        sinks = {f"sink.{name}": ("signals",) for name in settings.required_sinks}
        self._stages: dict[str, tuple[str, ...]] = {**READS, **sinks, **LAST}
        self._partitions: list[TopicPartition] = []

    async def read(self) -> dict[str, int]:
        """Commits first, then ends: where all are 0, nothing was on its way."""
        if not self._partitions:
            for topic in sorted({topic for topics in self._stages.values() for topic in topics}):
                self._partitions += await self._reader.partitions(self._settings.topic(topic))
        committed = {
            stage: await self._reader.committed(self._settings.group(stage)) for stage in self._stages
        }
        bounds = await self._reader.bounds(self._partitions)
        return {stage: self._behind(stage, committed[stage], bounds) for stage in self._stages}

    def _behind(
        self,
        stage: str,
        committed: dict[TopicPartition, int],
        bounds: dict[TopicPartition, tuple[int, int]],
    ) -> int:
        topics = [self._settings.topic(topic) for topic in self._stages[stage]]
        return sum(
            end - max(begin, committed.get(tp, 0))
            for tp, (begin, end) in bounds.items()
            if tp.topic in topics
        )

    async def nothing_owed(self) -> bool:
        """Every sink has answered for every record of `signals`."""
        owed = await outstanding(self._settings, self._reader)
        return owed is not None and not any(owed.values())
