"""Faults that no other test injects, into the whole pipeline under load: nothing lost, nothing doubled."""

import asyncio
from pathlib import Path

from tests.chaos.soak.faults import KINDS
from tests.chaos.soak.place import open_place
from tests.chaos.soak.report import as_table, write_table
from tests.chaos.soak.run import Course, soak

FAULTS = (
    *("broker slow", "timescale cuts", "bigquery cuts", "sqlite locked", "clock dedupe", "poison signals"),
    "zombie dedupe",
)
SEED = 5


def test_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    """Not a coroutine: servers' processes end with the thread that starts them."""
    assert set(FAULTS) <= set(KINDS)
    said: list[str] = []
    kept: list[Course] = []
    with open_place() as place:
        course = asyncio.run(soak(place, SEED, len(FAULTS), FAULTS, said.append, kept.append))
    assert course.holds, "\n".join(said)
    assert {result.kind for result in course.results} == set(FAULTS)
    assert kept == [course]
    page = tmp_path / "page.md"
    page.write_text("Before.\n\n<!-- soak -->\nold\n<!-- /soak -->\n\nBehind.\n")
    write_table(page, "soak", as_table(course, "make soak"))
    assert "| **all** | 7 | 0 | 0 | 0 |" in page.read_text()
    assert "old" not in page.read_text()
