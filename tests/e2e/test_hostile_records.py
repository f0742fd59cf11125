"""Records that mean harm: text that is SQL somewhere, and parts that are far too large."""

from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from app.kafka_client import client_options
from app.model.keys import batch_key
from app.query.signals import Wanted
from app.query.stores import open_store
from app.streaming.record import CORRELATION_ID
from tests.support.pipeline import View

TS = "2024-03-01T14:30:00.000000Z"
SQL = (
    "'; DROP TABLE signals; --",
    '"; DROP TABLE signals; --',
    "`); DROP TABLE signals; --",
    "\\'; DROP TABLE signals; /*",
    "%s {0} $1 :name @name ?",
    "$$; DROP TABLE signals; $$",
)
SYMBOL = "'; DROP TABLE SIGNALS; --"


async def test_text_that_is_sql_is_stored_as_it_is(pipe: View) -> None:
    provider = "harmless"
    signals = [
        {
            "name": text,
            "value": 1.0,
            "signal_type": text,
            "canonical_key": text,
            "outcome": text,
            "correlation_id": text,
            "metadata": {text: [text, {"more": text}]},
        }
        for text in SQL
    ]
    value = {"provider": provider, "symbol": SYMBOL, "ts": TS, "signals": signals}
    key = batch_key(provider, SYMBOL, TS)
    await pipe.send("signals.raw", msgspec.json.encode(value), key)
    await pipe.until_settled(key)
    for sink, store in pipe.stores.items():
        found = await store.latest(provider)
        assert set(found) == {(provider, SYMBOL, TS, text) for text in SQL}, sink
        for (_, _, _, name), row in found.items():
            assert row.metadata == {name: [name, {"more": name}]}, sink
            assert row.correlation_id == name, sink


@pytest.mark.parametrize("field", ["provider", "name"])
async def test_a_question_that_is_sql_finds_what_it_names(pipe: View, field: str) -> None:
    asked = {"provider": f"{SQL[0]} {field}", "name": f"{SQL[0]} OR '1'='1"}
    value = {"provider": asked["provider"], "symbol": "SPY", "ts": TS, "name": asked["name"], "value": 2.0}
    key = batch_key(asked["provider"], "SPY", TS)
    await pipe.send("signals.raw", msgspec.json.encode(value), key)
    await pipe.until_settled(key)
    for sink in pipe.stores:
        found = await open_store(pipe.settings, sink).latest(Wanted("SPY", **{field: asked[field]}, limit=9))
        assert {row[field] for row in found} == {asked[field]}, sink


def padded(size: int = 0, **fields: str) -> bytes:
    """A batch that would be good, if it were not for its size."""
    signal = {"name": "n", "value": 1.0, "version": 1, "digest": 1, **fields}
    return msgspec.json.encode(
        {"provider": "oversize", "symbol": "SPY", "ts": TS, "signals": [signal], "pad": " " * size}
    )


KEY = batch_key("oversize", "SPY", TS)
TOO_LARGE: dict[str, tuple[dict[str, Any], str]] = {
    "value": ({"value": padded(9_000_000)}, "bytes are more than 8,000,000: send less in one record"),
    "key": ({"key": b"k" * 70_000}, "the key: 70,000 bytes are more than 64,000"),
    "headers": ({"headers": [("h", b"x" * 70_000)]}, "all headers together: 70,001 bytes are more"),
    "id": (
        {"headers": [(CORRELATION_ID, b"i" * 300)]},
        "header `correlation-id`: 300 bytes are more than 256",
    ),
    "text": ({"value": padded(outcome="o" * 2000)}, "Expected `str` of length <= 1024"),
}
STAGES = {
    "signals.raw": {"dedupe"},
    "signals": {"receipts", "sink.bigquery", "sink.sqlite", "sink.timescale"},
}


@pytest.mark.parametrize("topic", STAGES)
async def test_what_is_too_large_becomes_a_dead_letter_of_every_stage_that_reads_it(
    pipe: View, topic: str
) -> None:
    """Those on `signals` have not been through dedupe: anybody who may write there can send them."""
    sent: dict[str, str] = {}
    # Packed, what the broker would refuse comes through.
    async with AIOKafkaProducer(
        **client_options(pipe.settings), compression_type="zstd", max_request_size=40_000_000
    ) as producer:
        for name, (parts, _) in TOO_LARGE.items():
            record = {"value": padded(), "key": KEY, "headers": [], **parts}
            place = await producer.send_and_wait(pipe.settings.topic(topic), partition=3, **record)
            sent[str(place.offset)] = name
    await pipe.at_rest()
    said: dict[tuple[str, str], str] = {}
    for letter in await pipe.seen.of("dead-letters"):
        text = {name: value.decode() for name, value in letter.headers.items()}
        if text["origin-topic"] == pipe.settings.topic(topic):
            said[sent[text["origin-offset"]], text["stage"]] = text["reason"]
    for name, (_, reason) in TOO_LARGE.items():
        for stage in STAGES[topic] if name != "text" or topic == "signals" else ():
            assert reason in said.get((name, stage), "nothing"), (name, stage)
    if topic == "signals.raw":  # the signal alone is refused
        [receipt] = await pipe.receipts(KEY, "dedupe")
        assert TOO_LARGE["text"][1] in receipt.reasons["n"]
