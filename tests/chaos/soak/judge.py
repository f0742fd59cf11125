"""After a fault: caught up, and nothing lost, doubled, or without an answer?"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

from google.api_core.exceptions import NotFound

from app.cli.status import read_status
from app.config import Settings
from app.errors import SigstreamError
from app.sinks.bigquery.config import BigQueryConfig
from app.verify.run import Finding, Verdict, verify
from app.verify.span import Asked

CAUGHT_UP_S = 180.0
LOST = ("missing", "different")
DOUBLED = ("doubled", "extra")
UNRECEIPTED = ("unreceipted",)


class NotCaughtUp(AssertionError):
    """Something stays on its way."""


@dataclass
class Damage:
    """Signals or records that are wrong."""

    lost: int = 0
    doubled: int = 0
    unreceipted: int = 0
    says: list[str] = field(default_factory=list)

    @property
    def any(self) -> bool:
        return bool(self.lost or self.doubled or self.unreceipted)


class Judge:
    """Knows what it has found before, so that each fault answers for its own damage."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: Counter[tuple[str, str, str]] = Counter()
        self.strangers = 0
        """Records that faults have written to `signals` past dedupe; verify rightly finds them."""
        self.signals = 0

    async def caught_up(self) -> float:
        """Seconds until nothing is on its way and nothing owed. Raises NotCaughtUp."""
        begun = time.monotonic()
        last = "no answer from Kafka"
        while time.monotonic() - begun < CAUGHT_UP_S:
            try:
                status = await read_status(self._settings)
            except SigstreamError as error:
                last = str(error)
            else:
                if status.at_rest:
                    return time.monotonic() - begun
                last = f"lag {[(g.stage, g.lag) for g in status.groups]}, owed {status.outstanding}"
            await asyncio.sleep(0.2)
        raise NotCaughtUp(f"not caught up within {CAUGHT_UP_S:g} s: {last}")

    async def damage(self) -> Damage:
        """What is wrong now and was not before."""
        verdict = await verify(self._settings, Asked(), lambda _what, _total: lambda _done: None)
        self.signals = verdict.signals
        found = self._fresh(verdict)
        twice = await asyncio.to_thread(self._twice_in_history)
        new = twice - self._known["doubled", "bigquery", "history"]
        self._known["doubled", "bigquery", "history"] = twice
        if new > 0:
            found.doubled += new
            found.says.append(f"{new} rows of BigQuery's history are there twice")
        return found

    def _fresh(self, verdict: Verdict) -> Damage:
        found = Damage()
        for finding in verdict.findings:
            key = (finding.kind, finding.where, finding.says)
            count = finding.count - self._known[key]
            self._known[key] = finding.count
            if (finding.kind, finding.where) == ("extra", "signals"):
                count, self.strangers = count - self.strangers, 0
            if count > 0:
                found.says.append(_line(finding, count))
                found.lost += count * (finding.kind in LOST)
                found.doubled += count * (finding.kind in DOUBLED)
                found.unreceipted += count * (finding.kind in UNRECEIPTED)
        return found

    def _twice_in_history(self) -> int:
        config = BigQueryConfig.of(self._settings)
        row = "CONCAT(signal_id, '/', CAST(version AS STRING))"
        sql = f"SELECT COUNT(*) - COUNT(DISTINCT {row}) FROM `{config.table_id}`"
        try:
            return int(next(iter(config.rest_client().query_and_wait(sql)))[0])
        except NotFound:
            return 0


def _line(finding: Finding, count: int) -> str:
    examples = ", ".join(f"{e.key}|{e.name} at {e.at}" for e in finding.examples[:3])
    return f"{count} {finding.kind} ({finding.where}): {finding.says}; {examples}"
