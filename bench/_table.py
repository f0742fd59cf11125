"""A dedupe table of many keys, and a worker that recovers it.

The changelog is written as dedupe would have written it (its partition, key and packed value), not by
dedupe, which would take minutes: what a worker reads at its start is the same.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import rmtree
from typing import NamedTuple

from app.dedupe import Known, Seen, digest_of, pack
from app.model.keys import batch_key, partition_of, write_ts
from app.model.signal import Signal
from app.streaming.topics import changelog
from bench._broker import Broker, Message
from bench._setup import bench_settings, product_worker, running
from bench._signals import FIRST_VERSION, batch_of, whole

PARTITIONS = 8
FIRST = datetime(2000, 1, 1, tzinfo=UTC)
WITHIN_S = 1800.0
KEPT = ("identity", "lock")
"""Of a worker's directory: without them it would be another member of the group."""


class Start(NamedTuple):
    """One start of a worker."""

    first_record_s: float
    """From the start of the process to its first record on `signals`."""
    resident_bytes: int
    """Of the process right after."""


class Table:
    """A namespace whose dedupe table holds `keys` keys of one signal each."""

    def __init__(self, broker: Broker, place: Path, namespace: str, store: str, keys: int) -> None:
        self._broker = broker
        self._starts = 0
        self._settings = bench_settings(
            place,
            namespace,
            kafka=broker.bootstrap,
            signal_partitions=PARTITIONS,
            sinks=("sqlite",),
            dedupe_store=store,
        )
        broker.make_pipeline(self._settings)
        topic = changelog(self._settings, "dedupe", "seen", PARTITIONS)
        broker.make_topics(self._settings, topic)
        broker.fill(topic.name, entries(keys))

    def start(self) -> Start:
        """Start a worker, wait for its first record, stop it."""
        source, target = (self._settings.topic(name) for name in ("signals.raw", "signals"))
        self._broker.fill(source, [whole(batch_of(self._starts), PARTITIONS)])
        self._starts += 1
        begun = time.perf_counter()
        with running(*product_worker(self._settings, "dedupe")) as worker:
            self._broker.await_count(target, self._starts, worker, WITHIN_S, every_s=0.1)
            return Start(time.perf_counter() - begun, worker.resident_bytes)

    def lose_state(self) -> None:
        """What a worker has on disk is gone, but for who it is."""
        for directory in (self._settings.data_dir / "workers").iterdir():
            for found in directory.iterdir():
                if found.name not in KEPT:
                    rmtree(found) if found.is_dir() else found.unlink()


def entries(keys: int) -> Iterator[Message]:
    """Of the changelog: the table's keys with what is known of them."""
    digest = digest_of(Signal(name="n", value=1.0))
    now_ms = time.time_ns() // 1_000_000
    for number in range(keys):
        at = FIRST + timedelta(seconds=number)
        key = batch_key("bench", "BTC", write_ts(at))
        value = pack(Seen(now_ms, {"feature.000": Known(FIRST_VERSION + number, digest)}))
        yield Message(key, value, partition_of(key, PARTITIONS), [])


def raw_bytes(keys: int) -> int:
    """Keys and values of the changelog, without what Kafka adds."""
    return sum(len(entry.key) + len(entry.value) for entry in entries(keys))
