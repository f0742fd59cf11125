"""A contender of bench/dedupe.py: the same decision in Quix Streams, with its state store.

`python bench/_dedupe_quix.py BOOTSTRAP INPUT OUTPUT STATE_DIR one|batch`. Defaults of Quix throughout:
at-least-once, RocksDB state with a changelog topic, checkpoints every 5 s.
"""

from __future__ import annotations

import sys
from typing import Any

import orjson
from quixstreams import Application, State
from xxhash import xxh3_64_intdigest

CONTENT = ("value", "score", "signal_type", "confidence", "metadata", "block_height")


def digest_of(signal: dict[str, Any]) -> int:
    """What tells changed content from the same."""
    content = orjson.dumps([signal.get(field) for field in CONTENT])
    return xxh3_64_intdigest(content) >> 1


def is_new(signal: dict[str, Any], state: State[Any, Any]) -> bool:
    """Whether the signal of this key (the message's key is provider|symbol|ts) is new or changed."""
    digest = digest_of(signal)
    if state.get(signal["name"]) == digest:
        return False
    state.set(signal["name"], digest)
    return True


def only_new(batch: dict[str, Any], state: State[Any, Any]) -> dict[str, Any]:
    """The batch with its new and changed signals; all that is known of a batch is one entry."""
    known: dict[str, int] = state.get("names") or {}
    fresh = []
    for signal in batch["signals"]:
        digest = digest_of(signal)
        if known.get(signal["name"]) != digest:
            known[signal["name"]] = digest
            fresh.append(signal)
    if fresh:
        state.set("names", known)
    return {**batch, "signals": fresh}


def main() -> None:
    """Until SIGTERM."""
    bootstrap, source, target, state_dir, shape = sys.argv[1:]
    app = Application(
        bootstrap,
        consumer_group=target,
        auto_offset_reset="earliest",
        state_dir=state_dir,
        loglevel="WARNING",
        producer_extra_config={"message.max.bytes": 8_000_000},
    )
    stream = app.dataframe(app.topic(source, value_deserializer="json"))
    if shape == "one":
        stream = stream.filter(is_new, stateful=True)
    else:
        stream = stream.apply(only_new, stateful=True).filter(lambda batch: batch["signals"])
    stream.to_topic(app.topic(target, value_serializer="json"))
    app.run()


if __name__ == "__main__":
    main()
