"""Signals a second into PostgreSQL, against a loop written by hand and the sink of Quix Streams.

`python bench/sink_timescale.py [--rounds N] [--signals N]`. The same signals, all new, on a Kafka of the
bench's own (8 partitions), into a PostgreSQL of the bench's own, a fresh database a run:

- `ours`: `sigstream worker sink timescale`; records of 100 signals with the headers of dedupe
- `by_hand`: aiokafka and asyncpg, COPY and merge of 5,000; a record a signal; same table, same indexes
- `quix`: the PostgreSQL sink of Quix Streams; a record a signal; a checkpoint every 5,000; its own table

The method is the same for all: the topic is filled first, then the contender's process is started; what
counts is PostgreSQL's own time of each commit (track_commit_timestamp), from the first commit to the
last. Start-up, migration and the first batch are left out; reading, decoding, writing, committing
offsets, and in ours the receipts, are in.

The time of one write is taken in this process, nothing else running: `TimescaleSink.write` of 5,000
signals, as the worker calls it.

Goals: 1.2 times by hand, three times Quix, 95 % of the writes within 100 ms. The server is plain
PostgreSQL; nothing here was measured on TimescaleDB.
"""

import asyncio
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from statistics import median, quantiles

import asyncpg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.config import Settings
from app.embedded.kafka import Kafka
from app.embedded.postgres import Postgres
from app.embedded.server import start_all, stop_all
from app.model.signal import ENCODER
from app.sinks.base import SinkRecord
from app.sinks.timescale import TimescaleConfig, TimescaleSink
from app.sinks.timescale.schema import upgrade
from app.streaming.garbage import keep_what_is_there
from bench._broker import Broker, Message
from bench._databases import drop_database, fresh_database
from bench._harness import in_turn, medians, report, steady_rate
from bench._setup import bench_settings, product_worker, program, running, temporary_place
from bench._signals import NAMES, forwarded, one_by_one, whole, with_origins

GOAL, GOAL_QUIX, GOAL_P95_MS = 1.2, 3.0, 100.0
WITHIN_S = 300.0
PARTITIONS = 8
WRITE = 5000
ONES = "shared.ones"
COMMITS = """
    SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 AS at, count(*) AS rows
    FROM signals GROUP BY xmin
"""


@dataclass
class Bench:
    """Both servers, and what a run needs of them."""

    broker: Broker
    postgres: Postgres
    place: Path
    signals: int
    runs: "count[int]" = field(default_factory=count)

    def settings(self, namespace: str, dsn: str | None = None) -> Settings:
        """A pipeline of a run's own."""
        return bench_settings(
            self.place,
            namespace,
            kafka=self.broker.bootstrap,
            signal_partitions=PARTITIONS,
            sinks=("timescale",),
            timescale_dsn=dsn,
        )

    def fill_ones(self) -> None:
        """The input that serves all rounds."""
        self.broker.make(self.settings("shared"), ONES)
        self.broker.fill(ONES, ones(self.signals))

    def ours(self) -> float:
        """Signals a second of our worker."""
        dsn = asyncio.run(fresh_database(self.postgres.dsn, f"run{next(self.runs)}"))
        settings = self.settings(f"ours{next(self.runs)}", dsn)
        self.broker.make_pipeline(settings)
        self.broker.fill(settings.topic("signals"), wholes(self.signals))
        with running(*product_worker(settings, "sink", "timescale")) as alive:
            return self.rate(dsn, alive, settings.namespace)

    def by_hand(self) -> float:
        """Signals a second of the loop written by hand, into the product's table."""
        dsn = asyncio.run(fresh_database(self.postgres.dsn, f"run{next(self.runs)}"))
        asyncio.run(upgrade(dsn))
        return self.foreign("_sink_asyncpg.py", dsn)

    def quix(self) -> float:
        """Signals a second of Quix Streams."""
        dsn = asyncio.run(fresh_database(self.postgres.dsn, f"run{next(self.runs)}"))
        return self.foreign("_sink_quix.py", dsn, "state")

    def foreign(self, file: str, dsn: str, *state: str) -> float:
        """Signals a second of a program of the bench."""
        settings = self.settings(f"other{next(self.runs)}")
        command = program(file, self.broker.bootstrap, ONES, dsn, settings.namespace, *state)
        with running(command, settings.data_dir) as alive:
            return self.rate(dsn, alive, settings.namespace)

    def rate(self, dsn: str, alive: Callable[[], None], namespace: str) -> float:
        """Signals a second, once all are there; then the database is dropped."""
        commits = asyncio.run(await_rows(dsn, self.signals, alive))
        asyncio.run(drop_database(self.postgres.dsn, dsn))
        self.broker.remove(namespace)
        return steady_rate(commits)

    def write_ms(self) -> list[float]:
        """Milliseconds of each write of 5,000 signals."""
        dsn = asyncio.run(fresh_database(self.postgres.dsn, f"run{next(self.runs)}"))
        taken = asyncio.run(write_times(self.settings("writes", dsn), self.signals))
        asyncio.run(drop_database(self.postgres.dsn, dsn))
        return taken


def wholes(signals: int) -> Iterator[Message]:
    """Records of 100 signals."""
    return with_origins((whole(batch, PARTITIONS) for batch in forwarded(signals // NAMES)), "timescale")


def ones(signals: int) -> Iterator[Message]:
    """The same signals, one a record."""
    return chain.from_iterable(one_by_one(batch, PARTITIONS) for batch in forwarded(signals // NAMES))


async def await_rows(dsn: str, rows: int, alive: Callable[[], None]) -> list[tuple[float, int]]:
    """Times (s) and rows of all commits, once `rows` are there. Raises TimeoutError."""
    connection = await asyncpg.connect(dsn)
    end = time.monotonic() + WITHIN_S
    while (found := await _rows(connection)) < rows:
        alive()
        if time.monotonic() > end:
            raise TimeoutError(f"{found:,} of {rows:,} rows after {WITHIN_S:g} s")
        await asyncio.sleep(0.3)
    commits = [(row["at"], row["rows"]) for row in await connection.fetch(COMMITS)]
    await connection.close()
    return commits


async def _rows(connection: asyncpg.Connection) -> int:
    if await connection.fetchval("SELECT to_regclass('signals')") is None:
        return 0
    return int(await connection.fetchval("SELECT count(*) FROM signals"))


async def write_times(settings: Settings, signals: int) -> list[float]:
    """Milliseconds of each `TimescaleSink.write` of 5,000 signals."""
    sink = TimescaleSink(TimescaleConfig.of(settings))
    await sink.open()
    keep_what_is_there()  # as the worker does
    taken = []
    records: list[SinkRecord] = []
    for number, batch in enumerate(forwarded(signals // NAMES)):
        records.append(SinkRecord(number % PARTITIONS, number, batch, len(ENCODER.encode(batch))))
        if len(records) == WRITE // NAMES:
            begun = time.perf_counter()
            await sink.write(records)
            taken.append((time.perf_counter() - begun) * 1000)
            records = []
    await sink.close()
    return taken


def main() -> None:
    """Measure and print."""
    options = _options()
    with temporary_place() as place:
        kafka = Kafka(place / "kafka")
        postgres = Postgres(place / "postgres", {"track_commit_timestamp": "on"})
        start_all([kafka, postgres])
        try:
            bench = Bench(Broker(kafka.bootstrap), postgres, place, options.signals)
            _measure(bench, options)
        finally:
            stop_all([kafka, postgres])


def _measure(bench: Bench, options: Namespace) -> None:
    bench.fill_ones()
    writes: list[float] = []

    def median_write() -> float:
        taken = bench.write_ms()
        writes.extend(taken)
        return median(taken)

    tasks = {"ours": bench.ours, "by_hand": bench.by_hand, "quix": bench.quix, "write_ms": median_write}
    _print(medians(in_turn(options.rounds, tasks)), writes, options)
    bench.broker.close()


def _print(found: dict[str, float], writes: list[float], options: Namespace) -> None:
    to_quix, p95 = found["ours"] / found["quix"], quantiles(writes, n=20)[-1]
    report(
        "sink_timescale",
        found["ours"] / found["by_hand"],
        GOAL,
        at_most=False,
        rounds=options.rounds,
        signals=options.signals,
        medians_signals_per_s={name: round(found[name]) for name in ("ours", "by_hand", "quix")},
        ratio_quix=to_quix,
        goal_quix=GOAL_QUIX,
        holds_quix=to_quix >= GOAL_QUIX,
        write_p50_ms=median(writes),
        write_p95_ms=p95,
        goal_write_p95_ms=GOAL_P95_MS,
        holds_write_p95=p95 < GOAL_P95_MS,
    )


def _options() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--signals", type=int, default=200_000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
