"""Records that no stage can make sense of: kept as dead letters, and out of the way of good ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.config import Settings
from app.features_report import report
from app.model.keys import partition_of
from app.sources.files import read_block_file
from app.streaming.record import Record
from tests.support.pipeline import View

BLOCK = Path(__file__).parents[1] / "fixtures" / "blocks" / "150013.json.zst"
CHAIN = "BTC-BAD"
"""Of the blocks that these tests send."""
NOT_TEXT = b"\xff\xfe\x00 neither JSON nor UTF-8"
UNREADABLE = {
    "not text": (NOT_TEXT, "not JSON"),
    "tombstone": (None, "tombstone"),
    "empty": (b"", "not JSON"),
    "array": (b"[1, 2]", "Expected `object`, got `array`"),
}
"""Value and what the reason says of it."""


def block_with_a_negative_fee() -> bytes:
    """A real block, one fee's sign turned."""
    block: Any = msgspec.json.decode(read_block_file(BLOCK))
    block["tx"][1]["fee"] = -0.0005
    return msgspec.json.encode(block)


BAD: Mapping[str, Mapping[str, tuple[bytes | None, str]]] = {
    "blocks": {**UNREADABLE, "negative fee": (block_with_a_negative_fee(), "fee`, found -0.0005")},
    "signals.raw": {**UNREADABLE, "no provider": (b'{"symbol": "A", "ts": "now"}', "provider")},
}
STAGES = {"blocks": "blocks", "signals.raw": "dedupe"}


@pytest.mark.parametrize("topic", BAD)
async def test_bad_records_become_dead_letters_and_a_good_one_behind_them_is_stored(
    pipe: View, topic: str
) -> None:
    key, value, provider, headers = good_record(pipe.settings, topic)
    partition = partition_of(key, len(pipe.kafka.partitions(topic)))
    sent = {}
    for name, (bad, _) in BAD[topic].items():
        sent[name] = await pipe.send(topic, bad, f"bad/{name}".encode(), partition, f"id of {name}")
    await pipe.send(topic, value, key, partition, headers=headers)
    signals = batch_key_of(pipe.settings, topic)
    await pipe.until_settled(signals)
    await pipe.at_rest()

    letters = {letter.key: letter for letter in await pipe.seen.of("dead-letters")}
    assert set(letters) == {f"bad/{name}".encode() for name in BAD[topic]}
    for name, (bad, reason) in BAD[topic].items():
        letter = letters[f"bad/{name}".encode()]
        assert letter.value == bad
        said = texts(letter)
        assert reason in said.pop("reason"), name
        assert said.pop("origin-timestamp").isdigit()
        assert said == {
            "stage": STAGES[topic],
            "class": "ContractError",
            "origin-topic": pipe.settings.topic(topic),
            "origin-partition": str(partition),
            "origin-offset": str(sent[name][1]),
            "attempts": "1",
            "correlation-id": f"id of {name}",
        }
    for sink, store in pipe.stores.items():
        rows = [k for k in await store.latest(provider) if "|".join(k[:3]).encode() == signals]
        assert rows, sink


def texts(letter: Record) -> dict[str, str]:
    """Its headers, without those that every record has."""
    return {
        name: text.decode()
        for name, text in letter.headers.items()
        if name not in ("content-type", "produced-at")
    }


def good_record(settings: Settings, topic: str) -> tuple[bytes, bytes, str, list[tuple[str, bytes]]]:
    """Key, value, provider of the signals it leads to, headers."""
    if topic == "blocks":
        headers = [("chain", CHAIN.encode()), ("isolated", b"1")]
        return b"good", read_block_file(BLOCK), "sigstream", headers
    value = {"provider": "tidy", "symbol": "SPY", "ts": TS, "signals": [{"name": "good", "value": 1.0}]}
    return batch_key_of(settings, topic), msgspec.json.encode(value), "tidy", []


TS = "2024-03-01T14:30:00.000000Z"


def batch_key_of(settings: Settings, topic: str) -> bytes:
    """Of the signals that the good record leads to."""
    if topic == "blocks":
        said: Any = report(settings, BLOCK)
        return f"sigstream|{CHAIN}|{said['ts']}".encode()
    return f"tidy|SPY|{TS}".encode()
