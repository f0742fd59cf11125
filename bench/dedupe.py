"""Signals a second through the dedupe worker, against Quix Streams and the bare aiokafka client.

`python bench/dedupe.py [--rounds N] [--signals N]`. Every contender meets the same signals in the same
order, a fifth of them repeats, on a Kafka of the bench's own (8 partitions, LogAppendTime):

- `ours_batch`: `sigstream worker dedupe`, RocksDB, records of 100 signals
- `quix_one`: Quix Streams, RocksDB state with changelog, a record a signal
- `aiokafka_one`: consume, decode, look up in a dict, send; a record a signal; forgets and loses
- `quix_batch`: Quix Streams with the records of 100 signals, one state entry a record
- `ours_one`: our worker with a record a signal, on a tenth of the signals, as it takes long

The method is the same for all: the topic is filled first, then the contender's process is started; what
counts is the broker's time (LogAppendTime) of its output, from the first record to the last. Start-up,
joining the group and the first fetch are left out, reading, deciding, remembering and sending are in.
The rate of signals that came out is divided by their share of those that went in.

Goal: ours at least five times Quix, each with the records it is made for. The two others show how much
of that is the batches' doing, and how much the code's.
"""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.config import Settings
from app.embedded.kafka import Kafka
from bench._broker import Broker, Message
from bench._harness import in_turn, medians, report, steady_rate
from bench._setup import bench_settings, product_worker, program, running, temporary_place
from bench._signals import NAMES, one_by_one, whole, with_repeats

GOAL = 5.0
REPEATED = 0.2
WITHIN_S = 600.0
PARTITIONS = 8
BATCHES, ONES = "shared.batches", "shared.ones"
"""Input of the contenders that can read any topic."""


class _Names(msgspec.Struct):
    signals: list[msgspec.Raw] | None = None


_DECODER = msgspec.json.Decoder(_Names)


@dataclass
class Bench:
    """One Kafka, and what a run needs of it."""

    broker: Broker
    place: Path
    batches: int
    runs: "count[int]" = field(default_factory=count)

    def settings(self, namespace: str) -> Settings:
        """A pipeline of a run's own."""
        return bench_settings(
            self.place,
            namespace,
            kafka=self.broker.bootstrap,
            signal_partitions=PARTITIONS,
            sinks=("sqlite",),
        )

    def fill_shared(self) -> None:
        """The input that serves all rounds."""
        self.broker.make(self.settings("shared"), BATCHES, ONES)
        self.broker.fill(BATCHES, as_batches(self.batches))
        self.broker.fill(ONES, as_ones(self.batches))

    def ours(self, messages: Iterable[Message], expected: int) -> float:
        """Signals a second of our worker, in a namespace that holds `messages`."""
        settings = self.settings(f"ours{next(self.runs)}")
        self.broker.make_pipeline(settings)
        self.broker.fill(settings.topic("signals.raw"), messages)
        with running(*product_worker(settings, "dedupe")) as alive:
            return self.rate(settings.topic("signals"), expected, alive, settings.namespace)

    def foreign(self, file: str, source: str, expected: int, *shape: str) -> float:
        """Signals a second of a program of the bench."""
        settings = self.settings(f"other{next(self.runs)}")
        target = settings.topic("out")
        self.broker.make(settings, target)
        state = [settings.data_dir / "state", *shape] if shape else []
        command = program(file, self.broker.bootstrap, source, target, *state)
        with running(command, settings.data_dir) as alive:
            return self.rate(target, expected, alive, settings.namespace)

    def rate(self, topic: str, expected: int, alive: Callable[[], None], namespace: str) -> float:
        """Signals a second that went in, once `expected` records are out."""
        self.broker.await_count(topic, expected, alive, WITHIN_S)
        out = [(record.at_ms / 1000, signals_in(record.value)) for record in self.broker.read(topic)]
        self.broker.remove(namespace)
        return steady_rate(out) / (1 - REPEATED)


def as_batches(batches: int) -> Iterable[Message]:
    """Records of 100 signals."""
    return (whole(batch, PARTITIONS) for batch in with_repeats(batches, REPEATED))


def as_ones(batches: int) -> Iterable[Message]:
    """The same signals, one a record."""
    return chain.from_iterable(one_by_one(batch, PARTITIONS) for batch in with_repeats(batches, REPEATED))


def signals_in(value: bytes) -> int:
    """How many signals a record holds."""
    found = _DECODER.decode(value).signals
    return 1 if found is None else len(found)


def main() -> None:
    """Measure and print."""
    options = _options()
    batches = options.signals // NAMES
    with temporary_place() as place, Kafka(place / "kafka") as kafka:
        bench = Bench(Broker(kafka.bootstrap), place, batches)
        bench.fill_shared()
        _print(medians(in_turn(options.rounds, contenders(bench))), options)
        bench.broker.close()


def contenders(bench: Bench) -> dict[str, Callable[[], float]]:
    """All, by name."""
    batches, some = bench.batches, bench.batches // 10
    new, few = distinct(batches), distinct(some)
    return {
        "ours_batch": lambda: bench.ours(as_batches(batches), new),
        "quix_one": lambda: bench.foreign("_dedupe_quix.py", ONES, new * NAMES, "one"),
        "aiokafka_one": lambda: bench.foreign("_dedupe_aiokafka.py", ONES, new * NAMES),
        "quix_batch": lambda: bench.foreign("_dedupe_quix.py", BATCHES, new, "batch"),
        "ours_one": lambda: bench.ours(as_ones(some), few * NAMES),
    }


def distinct(batches: int) -> int:
    """How many batches are no repeats."""
    return len({batch.ts for batch in with_repeats(batches, REPEATED)})


def _print(rates: dict[str, float], options: Namespace) -> None:
    report(
        "dedupe",
        rates["ours_batch"] / rates["quix_one"],
        GOAL,
        at_most=False,
        rounds=options.rounds,
        signals=options.signals,
        medians_signals_per_s={name: round(rate) for name, rate in rates.items()},
        ours_to_aiokafka=rates["ours_batch"] / rates["aiokafka_one"],
        ours_to_quix_both_batches=rates["ours_batch"] / rates["quix_batch"],
        ours_to_quix_both_one=rates["ours_one"] / rates["quix_one"],
    )


def _options() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--signals", type=int, default=200_000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
