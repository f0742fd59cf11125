"""What a worker keeps on its machine: its slot, and the records it stopped at."""

import subprocess
import sys
from pathlib import Path

from app.model.receipt import Origin
from app.streaming.attempts import SPAN, Attempts
from app.streaming.slot import claim

RECORD, NEIGHBOUR, ELSEWHERE = Origin("t", 1, 5), Origin("t", 1, 6), Origin("t", 2, 5)


def test_two_workers_have_two_slots_and_a_dead_ones_is_free_again(tmp_path: Path) -> None:
    start = "from pathlib import Path; from app.streaming.slot import claim; "
    code = start + f"print(claim(Path({str(tmp_path)!r}), 'g').instance_id)"
    first = claim(tmp_path, "g")
    other = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        for _ in range(2)
    ]
    assert other[0] == other[1], "the slot of a worker that ended was not taken again"
    assert other[0] != first.instance_id
    another = claim(tmp_path, "another")
    assert another.directory != first.directory
    for slot in (first, another):
        slot.lock.close()


def test_stops_are_counted_across_restarts_until_the_record_is_through(tmp_path: Path) -> None:
    Attempts(tmp_path).stopped(RECORD)
    Attempts(tmp_path).stopped(RECORD)
    attempts = Attempts(tmp_path)
    assert (attempts.count(RECORD), attempts.count(NEIGHBOUR)) == (2, 0)
    assert (attempts.near(NEIGHBOUR), attempts.near(ELSEWHERE)) == (True, False)
    attempts.passed(RECORD)
    assert attempts.near(NEIGHBOUR), "the guilty one may still come"
    attempts.passed(Origin("t", 1, 5 + SPAN))
    assert not attempts.near(NEIGHBOUR)
    assert Attempts(tmp_path).count(RECORD) == 0


def test_once_the_guilty_record_is_buried_its_neighbours_are_innocent(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path)
    attempts.stopped(RECORD)
    attempts.stopped(NEIGHBOUR)
    attempts.stopped(ELSEWHERE)
    attempts.buried(NEIGHBOUR)
    left = Attempts(tmp_path)
    assert (left.count(RECORD), left.near(NEIGHBOUR), left.near(ELSEWHERE)) == (0, False, True)


def test_a_file_that_a_crash_cut_short_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "attempts.json").write_bytes(b'{"t/1/')
    assert Attempts(tmp_path).count(RECORD) == 0
