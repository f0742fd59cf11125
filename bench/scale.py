"""One worker and two, of the dedupe stage and of a sink: what a second one brings, and what it costs.

`python bench/scale.py [--rounds N] [--signals N]`. A Kafka and a PostgreSQL of the bench's own; records of
100 signals, all new, 8 partitions. The workers are started first and share the partitions; then the topic is
filled, which takes a second or two.

- `dedupe_1`, `dedupe_2`: `sigstream worker dedupe`, `signals.raw` to `signals`
- `sink_1`, `sink_2`: `sigstream worker sink timescale`, `signals` to PostgreSQL, an empty database a run

What counts is the broker's time (LogAppendTime) of what comes out, forwarded records or receipts, from the
first to the last. `cpu_s_per_million` says where the processor's time goes, for a million signals, by
process: user and system time from the filling to the end. `cpu_share` is the same as a share of all cores for
the same time: where it is near 1, the machine is full and a second worker can't bring anything.
`bytes_per_signal` is what each signal leaves on disk: in the topics, in the table's state, in PostgreSQL.

The ratio is that of two dedupe workers to one; there is no goal, as both share this machine with the broker.
"""

import asyncio
import contextlib
import os
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

import asyncpg
import psutil
from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.config import Settings
from app.embedded.kafka import Kafka
from app.embedded.postgres import Postgres
from app.embedded.server import start_all, stop_all
from bench._broker import Broker
from bench._databases import drop_database, fresh_database
from bench._harness import in_turn, medians, report, steady_rate
from bench._setup import bench_settings, product_worker, running, temporary_place
from bench._signals import NAMES, forwarded, whole, with_origins

PARTITIONS = 8
WITHIN_S = 300.0


@dataclass(frozen=True)
class Stage:
    """What is measured: a worker, and the topics before and behind it."""

    name: str
    command: tuple[str, ...]
    group: str
    source: str
    target: str


DEDUPE = Stage("dedupe", ("dedupe",), "dedupe", "signals.raw", "signals")
SINK = Stage("sink", ("sink", "timescale"), "sink.timescale", "signals", "signals.persisted")


@dataclass
class Bench:
    """The servers, and what was found beside the rates."""

    broker: Broker
    kafka: Kafka
    postgres: Postgres
    place: Path
    signals: int
    runs: "count[int]" = field(default_factory=count)
    cpu: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    sizes: dict[str, float] = field(default_factory=dict)

    def rate(self, stage: Stage, workers: int) -> float:
        """Signals a second."""
        run = f"run{next(self.runs)}"
        dsn = asyncio.run(fresh_database(self.postgres.dsn, run))
        crew = [self.settings(run, dsn, number) for number in range(workers)]
        self.broker.make_pipeline(crew[0])
        with ExitStack() as stack:
            alive = [stack.enter_context(running(*product_worker(one, *stage.command))) for one in crew]
            self.await_shared(crew[0].group(stage.group), workers)
            found = self.through(stage, crew[0], alive)
        self.weigh(stage, crew, dsn)
        self.broker.remove(f"{run}.")
        asyncio.run(drop_database(self.postgres.dsn, dsn))
        return found

    def settings(self, run: str, dsn: str, number: int) -> Settings:
        """Of one worker of a run, with a directory of its own."""
        directory = self.place / run / f"worker{number}"
        directory.mkdir(parents=True)
        fields = {"kafka": self.broker.bootstrap, "sinks": ("timescale",), "timescale_dsn": dsn}
        return bench_settings(self.place, run, data_dir=directory, signal_partitions=PARTITIONS, **fields)

    def await_shared(self, group: str, workers: int) -> None:
        """Until so many members are at rest in the group. Raises TimeoutError."""
        admin, end = AdminClient({"bootstrap.servers": self.broker.bootstrap, "log_level": 0}), WITHIN_S
        end += time.monotonic()
        while members_at_rest(admin, group) != workers:
            if time.monotonic() > end:
                raise TimeoutError(f"{group} is not shared by {workers} after {WITHIN_S:g} s")
            time.sleep(0.2)

    def through(self, stage: Stage, settings: Settings, alive: Sequence[Callable[[], None]]) -> float:
        """Fill, wait for the last record, and read the times."""
        batches = (whole(batch, PARTITIONS) for batch in forwarded(self.signals // NAMES))
        messages = list(with_origins(batches, "timescale"))

        def all_alive() -> None:
            for check in alive:
                check()

        before, begun = processor_times(), time.monotonic()
        self.broker.fill(settings.topic(stage.source), messages)
        target = settings.topic(stage.target)
        self.broker.await_count(target, len(messages), all_alive, WITHIN_S)
        self.account(f"{stage.name}_{len(alive)}", before, time.monotonic() - begun)
        return steady_rate((one.at_ms / 1000, NAMES) for one in self.broker.read(target))

    def account(self, name: str, before: Mapping[str, float], seconds: float) -> None:
        """Processor time since `before`, a million signals; and of all there was."""
        used = {who: spent - before.get(who, 0.0) for who, spent in processor_times().items()}
        found = {who: spent / self.signals * 1e6 for who, spent in used.items()}
        found["share"] = sum(used.values()) / seconds / len(os.sched_getaffinity(0))
        self.cpu.setdefault(name, []).append(found)

    def weigh(self, stage: Stage, crew: Sequence[Settings], dsn: str) -> None:
        """Bytes a signal of what the run left behind."""
        logs = self.kafka.directory / "data"
        for topic in (stage.source, stage.target, f"{stage.name}-seen-changelog"):
            found = sum(map(size_of, logs.glob(f"{crew[0].topic(topic)}-*")))
            if found:
                self.sizes[topic] = found / self.signals
        if stage is SINK:
            self.sizes["postgresql"] = asyncio.run(table_bytes(dsn)) / self.signals
        else:
            self.sizes["dedupe_state"] = sum(size_of(one.data_dir) for one in crew) / self.signals


def members_at_rest(admin: AdminClient, group: str) -> int:
    """How many, once all partitions are given out; else 0. (What Faust's assignor gives to whom can't be
    read by others.)"""
    described = admin.describe_consumer_groups([group])[group].result(10)
    return len(described.members) if described.state == ConsumerGroupState.STABLE else 0


def processor_times() -> dict[str, float]:
    """Seconds of user and system time so far, by program."""
    found = {"bench": 0.0}
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            times, who = process.cpu_times(), program_of(process)
            found[who] = found.get(who, 0.0) + times.user + times.system
    return found


def program_of(process: psutil.Process) -> str:
    """Whose time it is."""
    command = " ".join(process.cmdline())
    known = {"topologies": "worker", "kafka.Kafka": "kafka", "postgres": "postgresql"}
    return next((who for text, who in known.items() if text in command), "bench")


def size_of(directory: Path) -> int:
    """Bytes on disk of all files below."""
    return sum(file.stat().st_blocks * 512 for file in directory.rglob("*") if file.is_file())


async def table_bytes(dsn: str) -> int:
    """Of the table and its indexes."""
    connection = await asyncpg.connect(dsn)
    found = await connection.fetchval("SELECT pg_total_relation_size('signals')")
    await connection.close()
    return int(found)


def main() -> None:
    """Measure and print."""
    options = _options()
    with temporary_place() as place:
        kafka, postgres = Kafka(place / "kafka"), Postgres(place / "postgres")
        start_all([kafka, postgres])
        try:
            bench = Bench(Broker(kafka.bootstrap), kafka, postgres, place, options.signals)
            _measure(bench, options)
        finally:
            stop_all([kafka, postgres])


def _measure(bench: Bench, options: Namespace) -> None:
    tasks = {
        f"{stage.name}_{workers}": partial(bench.rate, stage, workers)
        for stage in (DEDUPE, SINK)
        for workers in (1, 2)
    }
    found = medians(in_turn(options.rounds, tasks))
    bench.broker.close()
    report(
        "scale",
        found["dedupe_2"] / found["dedupe_1"],
        1.0,
        at_most=False,
        rounds=options.rounds,
        signals=options.signals,
        ratio_sink=found["sink_2"] / found["sink_1"],
        medians_signals_per_s={name: round(rate) for name, rate in found.items()},
        cpu_share={name: round(median(one["share"] for one in runs), 2) for name, runs in bench.cpu.items()},
        cpu_s_per_million={name: _by_program(runs) for name, runs in bench.cpu.items()},
        bytes_per_signal={name: round(size, 1) for name, size in bench.sizes.items()},
    )


def _by_program(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = sorted({name for run in runs for name in run} - {"share"})
    return {name: round(median(run.get(name, 0.0) for run in runs), 2) for name in names}


def _options() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--signals", type=int, default=400_000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
