"""A worker's local state belongs to one Kafka."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.streaming.slot import Slot, claim


@pytest.fixture
def slot(tmp_path: Path) -> Iterator[Slot]:
    found = claim(tmp_path, "g")
    yield found
    found.lock.close()


def test_state_of_another_kafka_is_set_aside_and_kept(slot: Slot) -> None:
    assert slot.keep_state_of("one") is None
    (slot.state / "table").write_text("old")
    assert slot.keep_state_of("one") is None
    assert (slot.state / "table").read_text() == "old"
    aside = slot.keep_state_of("two")
    assert aside is not None
    assert (aside / "table").read_text() == "old"
    assert not (slot.state / "table").exists()


def test_a_crash_before_the_mark_was_written_loses_nothing(slot: Slot) -> None:
    slot.state.mkdir()
    assert slot.keep_state_of("one") is None
    assert (slot.state / "epoch").read_text() == "one"


def test_going_back_and_forth_begins_anew_each_time(slot: Slot) -> None:
    for epoch in ("one", "two", "one", "two"):
        slot.keep_state_of(epoch)
        assert not (slot.state / "table").exists()
        (slot.state / "table").write_text(epoch)
    kept = {found.name: (found / "table").read_text() for found in slot.directory.glob("state-of-*")}
    assert kept == {"state-of-one": "one", "state-of-two": "two"}
