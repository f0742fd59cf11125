"""From the start of a dedupe worker to its first record, with a million keys in its table.

`python bench/recovery.py [--rounds N] [--keys N]`, on a Kafka of the bench's own (8 partitions):

- `rocksdb_kept`: RocksDB on disk has survived the restart, and is as far as the changelog
- `rocksdb_lost`: the worker's directory was lost; RocksDB is filled from the changelog
- `memory`: the memory store, which is filled from the changelog at every start

Goal: a restart with the database kept takes at most half of one with the directory lost. The changelog is
written beforehand, as dedupe would have written it (bench/_table.py).
"""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.embedded.kafka import Kafka
from bench._broker import Broker
from bench._harness import in_turn, medians, report
from bench._setup import temporary_place
from bench._table import Table

GOAL = 0.5


def main() -> None:
    """Measure and print."""
    options = _options()
    with temporary_place() as place, Kafka(place / "kafka") as kafka:
        broker = Broker(kafka.bootstrap)
        on_disk, in_memory = (
            Table(broker, place, store, store, options.keys) for store in ("rocksdb", "memory")
        )
        on_disk.start()

        def lost() -> float:
            on_disk.lose_state()
            return on_disk.start().first_record_s

        starts = {
            "rocksdb_kept": lambda: on_disk.start().first_record_s,
            "rocksdb_lost": lost,
            "memory": lambda: in_memory.start().first_record_s,
        }
        _print(medians(in_turn(options.rounds, starts)), options)
        broker.close()


def _print(seconds: dict[str, float], options: Namespace) -> None:
    report(
        "recovery",
        seconds["rocksdb_kept"] / seconds["rocksdb_lost"],
        GOAL,
        rounds=options.rounds,
        keys=options.keys,
        medians_s={name: round(value, 2) for name, value in seconds.items()},
        kept_to_memory=seconds["rocksdb_kept"] / seconds["memory"],
    )


def _options() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keys", type=int, default=1_000_000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
