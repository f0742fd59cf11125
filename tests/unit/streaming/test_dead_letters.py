"""What a dead letter keeps of its record, and what it does not take on trust."""

from hashlib import sha256

import orjson
import pytest
from prometheus_client import REGISTRY

from app.errors import ContractError
from app.streaming.dead_letters import (
    MAX_VALUE_BYTES,
    dead_letter,
    original_headers,
)
from app.streaming.record import Record, number_in
from app.streaming.sizes import MAX_HEADERS_BYTES, MAX_KEY_BYTES


def record(value: bytes | None = b"{}", key: bytes | None = b"key", **headers: bytes) -> Record:
    named = {name.replace("_", "-"): content for name, content in headers.items()}
    return Record("n.blocks", 3, 14, 1_700_000_000_123, key, value, named)


def letter(found: Record) -> tuple[bytes | None, bytes | None, dict[str, bytes]]:
    key, value, headers = dead_letter(found, "blocks", ContractError("no"), 2)
    assert len(dict(headers)) == len(headers)
    return key, value, dict(headers)


def test_all_headers_of_the_original_come_back() -> None:
    headers = {"chain": b"BTC-X", "isolated": b"1", "stage": b"theirs", "correlation_id": b"id", "x": b"\xff"}
    found = record(**headers)
    key, value, kept = letter(found)
    assert (key, value) == (b"key", b"{}")
    assert original_headers(kept) == found.headers
    assert kept["stage"] == b"blocks"
    assert kept["origin-timestamp"] == b"1700000000123"
    assert "left-at-origin" not in kept


def test_the_count_of_replays_goes_on() -> None:
    assert letter(record(replay_attempts=b"2"))[2]["replay-attempts"] == b"2"
    assert "replay-attempts" not in letter(record(replay_attempts=b"9" * 5000))[2]


@pytest.mark.parametrize("nonsense", [b"", b"-1", b"two", b"\xff", b"9" * 5000, "٣".encode()])
def test_a_number_is_taken_from_digits_alone(nonsense: bytes) -> None:
    assert number_in({"n": nonsense}, "n") is None
    assert number_in({}, "n") is None
    assert number_in({"n": b"17"}, "n") == 17


def test_headers_that_are_too_large_are_left_at_the_origin_all_together() -> None:
    fits = b"x" * (MAX_HEADERS_BYTES - len("original-large") - len("original-small") - 1)
    assert "left-at-origin" not in letter(record(large=fits, small=b"1"))[2]
    kept = letter(record(large=fits + b"x", small=b"1"))[2]
    assert kept["left-at-origin"] == b"headers"
    assert original_headers(kept) == {}


def test_a_value_that_is_too_large_is_left_at_the_origin() -> None:
    value = b"0" * (MAX_VALUE_BYTES + 1)
    _, kept, headers = letter(record(value))
    assert headers["left-at-origin"] == b"value"
    assert orjson.loads(kept or b"") == {
        "topic": "n.blocks",
        "partition": 3,
        "offset": 14,
        "bytes": len(value),
        "sha256": sha256(value).hexdigest(),
    }
    assert letter(record(value[1:]))[1] == value[1:]


def test_a_record_of_nothing_has_something_to_send() -> None:
    assert letter(record(None, None))[:2] == (None, b"")
    assert letter(record(None))[:2] == (b"key", None)


def test_letters_are_counted_by_stage_and_class() -> None:
    def count() -> float:
        labels = {"stage": "blocks", "class": "ContractError"}
        return REGISTRY.get_sample_value("sigstream_dead_letters_total", labels) or 0.0

    before = count()
    letter(record())
    assert count() == before + 1


def test_a_key_that_is_too_large_is_cut_and_whole_at_its_origin() -> None:
    key, value, headers = letter(record(key=b"k" * (MAX_KEY_BYTES + 1)))
    assert key == b"k" * MAX_KEY_BYTES
    assert value == b"{}"
    assert headers["left-at-origin"] == b"key"


def test_a_correlation_id_that_is_too_large_is_cut() -> None:
    headers = letter(record(correlation_id=b"i" * 1000))[2]
    assert headers["correlation-id"] == b"i" * 256
