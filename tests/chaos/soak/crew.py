"""All workers as processes, looked after as a supervisor does: who ends is started again."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.cli.worker import AGENTS, command_of
from app.config import Settings
from app.embedded.leash import leashed
from tests.support.faults.clock import Clock
from tests.support.processes import Worker

LOOK_S = 0.2
PAUSE_S = 1.0
"""Before a worker that ended is started again."""


@dataclass(frozen=True)
class Ended:
    """A worker that ended by itself."""

    stage: str
    code: int


class Crew:
    """One worker of each stage, by stage: `dedupe`, `sink.sqlite`."""

    def __init__(self, settings: Settings, logs: Path) -> None:
        self._settings = settings
        self._logs = logs
        self._held: set[str] = set()
        self.ended: list[Ended] = []
        self.stages = (*AGENTS, *(f"sink.{sink}" for sink in settings.required_sinks))
        self.clocks = {stage: Clock(logs / f"{stage}.clock") for stage in self.stages}
        self.running: dict[str, Worker] = {}

    def start(self, stage: str) -> Worker:
        """One more worker of a stage; not looked after."""
        command = leashed(command_of(*stage.split(".", 1)))
        environment = self.clocks[stage].environment()
        return Worker(command, self._settings, self.log_file(stage), **environment)

    def log_file(self, stage: str) -> Path:
        """Of all workers of the stage."""
        return self._logs / f"{stage}.log"

    def mark(self, stage: str) -> int:
        """Where its log ends now."""
        file = self.log_file(stage)
        return file.stat().st_size if file.exists() else 0

    def log_since(self, stage: str, mark: int) -> str:
        """What it has written since then."""
        with self.log_file(stage).open("rb") as file:
            file.seek(mark)
            return file.read().decode(errors="replace")

    @contextmanager
    def left_alone(self, stage: str) -> Iterator[Worker]:
        """Its worker is not looked after within."""
        self._held.add(stage)
        try:
            yield self.running[stage]
        finally:
            self._held.discard(stage)

    @asynccontextmanager
    async def second(self, stage: str) -> AsyncIterator[Worker]:
        """One more worker of a stage, until the block ends."""
        other = self.start(stage)
        try:
            yield other
        finally:
            if other.returncode is None:
                other.kill()

    async def look_after(self) -> None:
        """Until cancelled; then all are killed."""
        self.running = {stage: self.start(stage) for stage in self.stages}
        try:
            while True:
                await asyncio.sleep(LOOK_S)
                for stage in self.stages:
                    await self._look_at(stage)
        finally:
            for worker in self.running.values():
                worker.kill()

    async def _look_at(self, stage: str) -> None:
        code = self.running[stage].returncode
        if code is not None and stage not in self._held:
            self.ended.append(Ended(stage, code))
            await asyncio.sleep(PAUSE_S)
            self.running[stage] = self.start(stage)
