"""Faults into the whole pipeline under load: nothing lost, nothing doubled. And the judge who says so can say
no.

Only kinds that no other test here injects. Not among them: kill -9 (test_kill_*.py, test_chain.py), a second
worker (test_share_sinks.py, ../e2e/test_faust_command.py), zombies (test_zombie_*.py), poison (test_fuzz.py),
a store that is away (../e2e/test_outage.py). `make soak` has all.
"""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from app.config import Settings
from app.kafka_client import client_options
from app.sinks.bigquery.config import BigQueryConfig
from tests.chaos.soak import judge as judges
from tests.chaos.soak.faults import KINDS
from tests.chaos.soak.judge import Damage, Judge, NotCaughtUp
from tests.chaos.soak.place import open_place
from tests.chaos.soak.report import as_table, write_table
from tests.chaos.soak.run import Course, Result, soak
from tests.support.faults.disk import may_mount
from tests.support.probe import Probe, probe
from tests.support.signals import batch_of, raw

FAULTS = (
    *("broker restarts", "broker slow", "timescale cuts", "bigquery cuts", "sqlite locked", "clock dedupe"),
    "stop dedupe",
    *(("disk full",) if may_mount() else ()),
)
SEED = 5
"""With or without the disk, the lock that it draws is a short one."""
KEY = "CONCAT(signal_id, '/', CAST(version AS STRING))"


@dataclass
class Run:
    """A whole course, and what was said and kept of it."""

    course: Course
    said: list[str] = field(default_factory=list)
    kept: list[Course] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        """Of its pipeline, at rest and without workers by now."""
        assert self.course.last is not None
        return self.course.last


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Not a coroutine: servers' processes end with the thread that starts them."""
    assert set(FAULTS) <= set(KINDS)
    said: list[str] = []
    kept: list[Course] = []
    with open_place() as place:
        course = asyncio.run(soak(place, SEED, len(FAULTS), FAULTS, said.append, kept.append))
        yield Run(course, said, kept)


def test_nothing_is_lost_or_doubled(run: Run, tmp_path: Path) -> None:
    course = run.course
    assert course.holds, "\n".join(run.said)
    assert {result.kind for result in course.results} == set(FAULTS)
    assert run.kept == [course]
    page = tmp_path / "page.md"
    page.write_text("Before.\n\n<!-- soak -->\nold\n<!-- /soak -->\n\nBehind.\n")
    write_table(page, "soak", as_table(course, "make soak"))
    assert f"| **all** | {len(FAULTS)} | 0 | 0 | 0 |" in page.read_text()
    assert "old" not in page.read_text()


async def test_the_judge_says_no(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer is of what was done since the one before."""
    judge = Judge(run.settings)
    assert await judge.damage() == Damage()
    without_a_row(run.settings)
    assert_says(await judge.damage(), lost=1)
    with_a_row_twice(run.settings)
    assert_says(await judge.damage(), doubled=2)  # to `verify`, and in the history's count
    async with probe(run.settings) as found:
        await without_receipts(run.settings, found)
        unanswered = await judge.damage()
        assert unanswered.unreceipted > 0
        for sink in run.settings.required_sinks:
            expected = f"unreceipted ({sink}): was read, and has no receipt"
            assert any(expected in line for line in unanswered.says), unanswered.says
        assert not Course(SEED, [Result("any", "happened", 0.0, unanswered)]).holds
        await found.send("signals.raw", [raw(batch_of(1), run.settings.signal_partitions)])
        monkeypatch.setattr(judges, "CAUGHT_UP_S", 1.0)
        with pytest.raises(NotCaughtUp, match=r"'dedupe', \{'signals.raw': 1\}"):
            await judge.caught_up()


def assert_says(found: Damage, lost: int = 0, doubled: int = 0) -> None:
    assert (found.lost, found.doubled, found.unreceipted) == (lost, doubled, 0), found.says


def without_a_row(settings: Settings) -> None:
    """In SQLite."""
    with closing(sqlite3.connect(settings.sqlite_file, isolation_level=None)) as file:
        gone = file.execute("DELETE FROM signals WHERE rowid = (SELECT min(rowid) FROM signals)")
        assert gone.rowcount == 1


def with_a_row_twice(settings: Settings) -> None:
    """In BigQuery's history."""
    config = BigQueryConfig.of(settings)
    table = f"`{config.table_id}`"
    with closing(config.rest_client()) as client:
        client.query_and_wait(
            f"INSERT INTO {table} SELECT * FROM {table} WHERE {KEY} = (SELECT MIN({KEY}) FROM {table})"
        )


async def without_receipts(settings: Settings, found: Probe) -> None:
    """All those of one partition."""
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        await admin.delete_records({found.partitions("signals.persisted")[0]: RecordsToDelete(-1)})
    finally:
        await admin.close()
