"""Records with parts that are far too large, on every topic that signals are read from.

Those on `signals` have not been through dedupe: anybody who may write there can send them. `verify` calls
them what they are, so they get a pipeline of their own.
"""

from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from app.kafka_client import client_options
from app.model.keys import batch_key
from app.streaming.record import CORRELATION_ID
from tests.support.pipeline import View

TS = "2024-03-01T14:30:00.000000Z"


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
    own_pipe: View, topic: str
) -> None:
    sent: dict[str, str] = {}
    # Packed, what the broker would refuse comes through.
    async with AIOKafkaProducer(
        **client_options(own_pipe.settings), compression_type="zstd", max_request_size=40_000_000
    ) as producer:
        for name, (parts, _) in TOO_LARGE.items():
            record = {"value": padded(), "key": KEY, "headers": [], **parts}
            place = await producer.send_and_wait(own_pipe.settings.topic(topic), partition=3, **record)
            sent[str(place.offset)] = name
    await own_pipe.at_rest()
    said: dict[tuple[str, str], str] = {}
    for letter in await own_pipe.seen.of("dead-letters"):
        text = {name: value.decode() for name, value in letter.headers.items()}
        if text["origin-topic"] == own_pipe.settings.topic(topic):
            said[sent[text["origin-offset"]], text["stage"]] = text["reason"]
    for name, (_, reason) in TOO_LARGE.items():
        for stage in STAGES[topic] if name != "text" or topic == "signals" else ():
            assert reason in said.get((name, stage), "nothing"), (name, stage)
    if topic == "signals.raw":  # the signal alone is refused
        [receipt] = await own_pipe.receipts(KEY, "dedupe")
        assert TOO_LARGE["text"][1] in receipt.reasons["n"]
