"""Which letters are replayed, and with which headers."""

from datetime import UTC, datetime

import pytest

from app.config import Settings
from app.dlq.marks import ENCODER, Mark, Place, State, parse_place, read_mark
from app.dlq.restore import Limits, Original, check, check_open, headers_of
from app.errors import ContractError
from app.model.receipt import Origin
from app.query.dead_letters import Letter

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = Settings(_env_file=None, namespace="n")
ORIGIN = {"origin-topic": b"n.blocks", "origin-partition": b"3", "origin-offset": b"14"}


def letter(mark: Mark | None = None, **changed: bytes) -> Letter:
    headers = ORIGIN | {name.replace("_", "-"): content for name, content in changed.items()}
    return Letter(Place(0, 5), NOW, b"key", 2, headers, mark)


def refusal(found: Letter, most: int | None = 3, *, again: bool = False) -> str | None:
    try:
        check(SETTINGS, found, Limits(most, again))
    except ContractError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("found", "most", "says"),
    [
        (letter(), 3, None),
        (letter(replay_attempts=b"2"), 3, None),
        (letter(replay_attempts=b"3"), 3, "replayed 3 times and came back"),
        (letter(replay_attempts=b"3"), None, None),
        (letter(Mark(State.REPLAYED, NOW, 1)), 3, "was replayed at 2026-01-01T00:00:00.000000Z"),
        (letter(Mark(State.DROPPED, NOW, 0)), 3, "was dropped at"),
        (letter(origin_topic=b"m.blocks"), 3, "came from m.blocks/3"),
        (letter(origin_topic=b"n.dead-letters"), 3, "came from n.dead-letters/3"),
        (letter(origin_partition=b"4"), 3, "came from n.blocks/4"),
        (letter(origin_offset=b"-1"), 3, "does not say where it came from"),
        (letter(origin_topic=b""), 3, "does not say where it came from"),
    ],
)
def test_what_is_not_replayed(found: Letter, most: int | None, says: str | None) -> None:
    refused = refusal(found, most)
    assert refused is None if says is None else says in (refused or "")


def test_again_counts_on_from_the_mark() -> None:
    replayed = letter(Mark(State.REPLAYED, NOW, 2), replay_attempts=b"1")
    assert replayed.replays == 2
    assert refusal(replayed, again=True) is None
    assert refusal(replayed, most=2, again=True) is not None


def test_only_what_is_open_is_dropped() -> None:
    check_open(letter())
    with pytest.raises(ContractError, match="was dropped at"):
        check_open(letter(Mark(State.DROPPED, NOW, 0)))


def headers(timestamp_ms: int | None = 99, **given: bytes) -> dict[str, bytes]:
    named = {name.replace("_", "-"): content for name, content in given.items()}
    found = headers_of(Original(Origin("n.signals.raw", 3, 14), b"{}", named, timestamp_ms), 2)
    assert len(dict(found)) == len(found)
    return dict(found)


def test_headers_say_what_the_record_was_first() -> None:
    count = {"replay-attempts": b"2"}
    assert headers(chain=b"X") == {"chain": b"X", "replayed-from": b"3/14/99"} | count
    assert headers(replayed_from=b"1/2/3", replay_attempts=b"1") == {"replayed-from": b"1/2/3"} | count
    assert headers(rekeyed=b"1/2/3") == {"rekeyed": b"1/2/3"} | count
    assert headers(timestamp_ms=None) == count


def test_a_repeat_is_not_what_it_is_replayed_as() -> None:
    assert "origin-offset" not in headers(origin_offset=b"7")


@pytest.mark.parametrize(
    "text", ["", "1", "1/", "/1", "1/2/3", "-1/2", "a/b", "1/ 2", "٣/1", "1/" + "9" * 5000]
)
def test_a_place_is_two_numbers(text: str) -> None:
    with pytest.raises(ContractError, match="PARTITION/OFFSET"):
        parse_place(text)


def test_marks_are_read_and_others_ignored() -> None:
    mark = Mark(State.REPLAYED, NOW, 1)
    assert parse_place("3/17") == Place(3, 17)
    assert read_mark(b"3/17", ENCODER.encode(mark)) == (Place(3, 17), mark)
    for key, value in ((None, ENCODER.encode(mark)), (b"\xff", b"{}"), (b"3/17", b"{}"), (b"3/17", None)):
        assert read_mark(key, value) is None
