"""How fast each sink works off what piled up while its server was away, against its steady maximum.

`python bench/backlog.py [--rounds N] [--signals N] [--sinks a,b]`. A Kafka, a PostgreSQL and a BigQuery
emulator of the bench's own; records of 100 signals, all new, an empty store a run:

- `steady`: the topic is filled, then `sigstream worker sink NAME` is started: its maximum, as the topic never
  runs dry
- `after_outage`: the worker has written a first record; its server goes away (PostgreSQL and the emulator are
  stopped, SQLite's file is locked by another program), the same signals come in, the worker says that it
  waits, the server comes back

What counts for both is the broker's time (LogAppendTime) of the receipts, which follow the written rows, from
the first one of the backlog to the last. `reaction_s` stands beside it: from the server's return to the first
receipt of the backlog; mostly the pause between two tries (1, 2, 4 s ... up to `SIGSTREAM_SINK_RETRY_CAP_S`).

Goal: at least 0.8 of the steady maximum, for every sink. PostgreSQL is plain, BigQuery is the emulator.
"""

import asyncio
import sqlite3
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.config import Settings
from app.embedded.bigquery import BigQuery
from app.embedded.kafka import Kafka
from app.embedded.postgres import Postgres
from app.embedded.server import Server, start_all, stop_all
from app.model.receipt import RECEIPT_DECODER
from bench._broker import Broker, Message
from bench._databases import fresh_database
from bench._harness import in_turn, medians, report, steady_rate
from bench._setup import bench_settings, product_worker, running, temporary_place
from bench._signals import NAMES, forwarded, whole, with_origins

GOAL = 0.8
PARTITIONS = 8
WITHIN_S = 300.0
SHARE = {"sqlite": 1.0, "timescale": 1.0, "bigquery": 0.1}
"""Of `--signals`: the emulator takes one tenth as long over a tenth."""


@dataclass
class Bench:
    """The servers, and what a run needs of them."""

    broker: Broker
    postgres: Postgres
    bigquery: BigQuery
    place: Path
    signals: int
    runs: "count[int]" = field(default_factory=count)
    reactions: dict[str, list[float]] = field(default_factory=dict)

    def settings(self, sink: str) -> Settings:
        """A pipeline and an empty store of a run's own."""
        run = f"run{next(self.runs)}"
        dsn = asyncio.run(fresh_database(self.postgres.dsn, run))
        own = {**self.bigquery.settings(), "bigquery_dataset": run, "timescale_dsn": dsn}
        fields = {"kafka": self.broker.bootstrap, "signal_partitions": PARTITIONS, "sinks": (sink,), **own}
        settings = bench_settings(self.place, run, **fields)
        self.broker.make_pipeline(settings)
        return settings

    def messages(self, sink: str) -> list[Message]:
        """One record, and the backlog."""
        batches = int(self.signals * SHARE[sink]) // NAMES + 1
        return list(with_origins((whole(batch, PARTITIONS) for batch in forwarded(batches)), sink))

    def steady(self, sink: str) -> float:
        """Signals a second from a full topic."""
        settings, messages = self.settings(sink), self.messages(sink)
        self.broker.fill(settings.topic("signals"), messages)
        with running(*product_worker(settings, "sink", sink)) as alive:
            return steady_rate(self.receipts(settings, len(messages), alive))

    def after_outage(self, sink: str) -> float:
        """Signals a second once the server is back."""
        settings, messages = self.settings(sink), self.messages(sink)
        topic, log = settings.topic("signals"), settings.data_dir / "log"
        with running(*product_worker(settings, "sink", sink)) as alive:
            self.broker.fill(topic, messages[:1])
            self.receipts(settings, 1, alive)
            with self.away(sink, settings):
                self.broker.fill(topic, messages[1:])
                await_text(log, "sink waits", alive)
            back = time.time()
            backlog = self.receipts(settings, len(messages), alive)[1:]
        self.reactions.setdefault(sink, []).append(backlog[0][0] - back)
        return steady_rate(backlog)

    @contextmanager
    def away(self, sink: str, settings: Settings) -> Iterator[None]:
        """Without the sink's server."""
        servers: dict[str, Server] = {"timescale": self.postgres, "bigquery": self.bigquery}
        if sink not in servers:
            with locked(settings.sqlite_file):
                yield
            return
        servers[sink].stop()
        yield
        servers[sink].start()

    def receipts(
        self, settings: Settings, records: int, alive: Callable[[], None]
    ) -> list[tuple[float, int]]:
        """Times (s) and signals of so many receipts, in order."""
        topic = settings.topic("signals.persisted")
        self.broker.await_count(topic, records, alive, WITHIN_S)
        found = self.broker.read(topic)
        return sorted((one.at_ms / 1000, signals_in(one.value)) for one in found)


def signals_in(receipt: bytes) -> int:
    """How many a receipt answers for."""
    return sum(map(len, RECEIPT_DECODER.decode(receipt).outcomes.values()))


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """As by a program that writes for a long time."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    yield
    connection.rollback()
    connection.close()


def await_text(log: Path, text: str, alive: Callable[[], None]) -> None:
    """Until the worker has written it. Raises TimeoutError."""
    end = time.monotonic() + WITHIN_S
    while text not in log.read_text():
        alive()
        if time.monotonic() > end:
            raise TimeoutError(f"no {text!r} in {log} after {WITHIN_S:g} s")
        time.sleep(0.1)


def main() -> None:
    """Measure and print."""
    options = _options()
    with temporary_place() as place:
        kafka, postgres = Kafka(place / "kafka"), Postgres(place / "postgres")
        bigquery = BigQuery(place / "bigquery")
        servers: list[Server] = [kafka, postgres, bigquery]
        start_all(servers)
        try:
            bench = Bench(Broker(kafka.bootstrap), postgres, bigquery, place, options.signals)
            _measure(bench, options)
        finally:
            stop_all(servers)


def _measure(bench: Bench, options: Namespace) -> None:
    sinks = options.sinks.split(",")
    tasks = {}
    for sink in sinks:
        tasks[f"{sink}_steady"] = partial(bench.steady, sink)
        tasks[f"{sink}_after_outage"] = partial(bench.after_outage, sink)
    found = medians(in_turn(options.rounds, tasks))
    bench.broker.close()
    ratios = {sink: found[f"{sink}_after_outage"] / found[f"{sink}_steady"] for sink in sinks}
    report(
        "backlog",
        min(ratios.values()),
        GOAL,
        at_most=False,
        rounds=options.rounds,
        signals=options.signals,
        ratios={sink: round(ratio, 3) for sink, ratio in ratios.items()},
        medians_signals_per_s={name: round(rate) for name, rate in found.items()},
        reaction_s={sink: round(median(found), 1) for sink, found in bench.reactions.items()},
    )


def _options() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--signals", type=int, default=200_000)
    parser.add_argument("--sinks", default="sqlite,timescale,bigquery")
    return parser.parse_args()


if __name__ == "__main__":
    main()
