"""Memory of a dedupe worker with a million live keys, against the bytes of those keys in the changelog.

`python bench/memory.py [--keys N]`, on a Kafka of the bench's own (8 partitions). For each store the resident
size of a worker that has recovered an empty table is taken from that of one that has recovered the keys. The
changelog is written beforehand, as dedupe would have written it (bench/_table.py); `raw` is what its keys and
values have, one signal a key.

Goal: RocksDB takes at most twice as much memory as the raw bytes.
"""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.embedded.kafka import Kafka
from bench._broker import Broker
from bench._harness import report
from bench._setup import temporary_place
from bench._table import Table, raw_bytes

GOAL = 2.0
STORES = ("rocksdb", "memory")


def main() -> None:
    """Measure and print."""
    options = _options()
    with temporary_place() as place, Kafka(place / "kafka") as kafka:
        broker = Broker(kafka.bootstrap)
        grown = {}
        for store in STORES:
            empty, full = (
                Table(broker, place, f"{store}{keys}", store, keys).start().resident_bytes
                for keys in (0, options.keys)
            )
            grown[store] = full - empty
            print(f"{store}: {empty / 1e6:,.0f} MB empty, {full / 1e6:,.0f} MB full", flush=True)
        _print(grown, options)
        broker.close()


def _print(grown: dict[str, int], options: Namespace) -> None:
    raw = raw_bytes(options.keys)
    report(
        "memory",
        grown["rocksdb"] / raw,
        GOAL,
        keys=options.keys,
        bytes_per_key={name: round(value / options.keys) for name, value in {**grown, "raw": raw}.items()},
        memory_store_to_raw=grown["memory"] / raw,
    )


def _options() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
