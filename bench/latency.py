"""From a block on the topic to the last sink's receipt: all servers, all workers, one block at a time.

`python bench/latency.py [--rounds N] [--sinks a,b]`. Everything that `sigstream up`
runs is started on servers of the bench's own: Kafka, PostgreSQL, the BigQuery emulator, the agents and
three sinks. After 10 blocks to warm up, simulated blocks are sent one at a time, two a second, 20 a
round; none waits for another.

The clock is the broker's (LogAppendTime, milliseconds): from the record on `blocks` to the record of the
last sink's receipt on `signals.persisted`, which a sink sends once its rows are durable. Both are on one
machine. `stages_ms` says where the time goes; sinks run side by side, each with a group of its own.

Goal: 95 % of the blocks within half a second. PostgreSQL is plain, BigQuery is the emulator: what
TimescaleDB or Google's service take is not in these figures.
"""

import asyncio
import sys
import time
from argparse import ArgumentParser, Namespace
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median, quantiles

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.config import Settings
from app.model.receipt import RECEIPT_DECODER
from app.sources.ingest import BlockProducer, read_block
from app.sources.simulator import CHAIN, simulate
from app.streaming.record import CORRELATION_ID
from app.supervisor import Up
from bench._broker import Broker
from bench._harness import report
from bench._setup import bench_settings, temporary_place

GOAL_S = 0.5
WARM_UP = 10
BLOCKS_A_ROUND = 20
PACE_S = 0.5
WITHIN_S = 180.0
STAGES = {
    "extract": ("blocks", "block-features"),
    "process": ("block-features", "signals.raw"),
    "dedupe": ("signals.raw", "signals"),
}
Times = dict[str, int]
"""What of one block was appended when, milliseconds: topics, and `receipt.<sink>`."""


def main() -> None:
    """Measure and print."""
    options = _options()
    with temporary_place() as place:
        sinks = tuple(options.sinks.split(","))
        with Up(bench_settings(place, "latency", sinks=sinks), write=lambda _line: None) as up:
            _print(_measure(up, options.rounds * BLOCKS_A_ROUND), options)


def _measure(up: Up, blocks: int) -> list[Times]:
    settings = up.settings
    broker = Broker(settings.need_kafka())
    values = list(simulate(WARM_UP + blocks, seed=1))
    asyncio.run(send(settings, values[:WARM_UP], 0.1))
    _await_settled(up, broker, WARM_UP)
    measured = asyncio.run(send(settings, values[WARM_UP:], PACE_S))
    _await_settled(up, broker, WARM_UP + blocks)
    times = times_of(settings, broker, measured)
    broker.close()
    return times


async def send(settings: Settings, values: Iterable[bytes], pace_s: float) -> list[str]:
    """One after the other, `pace_s` apart; their correlation ids."""
    sent = []
    async with BlockProducer(settings) as producer:
        due = time.monotonic()
        for value in values:
            sent.append((await producer.send("block", read_block(value, CHAIN))).correlation_id)
            due += pace_s
            await asyncio.sleep(max(0.0, due - time.monotonic()))
    return sent


def _await_settled(up: Up, broker: Broker, blocks: int) -> None:
    topic = up.settings.topic("signals.settled")
    if not up.wait_until(lambda: broker.count(topic) >= blocks, WITHIN_S):
        raise TimeoutError(f"{broker.count(topic)} of {blocks} blocks settled after {WITHIN_S:g} s")


def times_of(settings: Settings, broker: Broker, measured: list[str]) -> list[Times]:
    """Of each block that was measured."""
    found: dict[str, Times] = defaultdict(dict)
    for topic in ("blocks", "block-features", "signals.raw", "signals", "signals.settled"):
        for record in broker.read(settings.topic(topic)):
            found[_id(record.headers)][topic] = record.at_ms
    for record in broker.read(settings.topic("signals.persisted")):
        stage = RECEIPT_DECODER.decode(record.value).stage
        if stage in settings.required_sinks:
            found[_id(record.headers)][f"receipt.{stage}"] = record.at_ms
    return [found[correlation_id] for correlation_id in measured]


def _id(headers: Mapping[str, bytes]) -> str:
    return headers.get(CORRELATION_ID, b"").decode()


def total_ms(times: Times) -> int:
    """From the block to the last receipt."""
    return max(at for name, at in times.items() if name.startswith("receipt.")) - times["blocks"]


def stages_ms(found: list[Times]) -> dict[str, dict[str, float]]:
    """Median and 95th percentile of each stage."""
    stages = dict(STAGES)
    for receipt in sorted({name for times in found for name in times if name.startswith("receipt.")}):
        stages[receipt.replace("receipt.", "sink.")] = ("signals", receipt)
    return {
        name: spread([times[end] - times[start] for times in found]) for name, (start, end) in stages.items()
    }


def spread(values: list[int]) -> dict[str, float]:
    """What is reported of a list of times."""
    return {"p50": median(values), "p95": round(quantiles(values, n=20, method="inclusive")[-1], 1)}


def _print(found: list[Times], options: Namespace) -> None:
    total = spread([total_ms(times) for times in found])
    settled = spread([times["signals.settled"] - times["blocks"] for times in found])
    report(
        "latency",
        total["p95"] / 1000 / GOAL_S,
        1.0,
        rounds=options.rounds,
        blocks=len(found),
        sinks=options.sinks,
        p50_ms=total["p50"],
        p95_ms=total["p95"],
        goal_p95_ms=GOAL_S * 1000,
        stages_ms=stages_ms(found),
        settled_ms=settled,
    )


def _options() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of 20 blocks")
    parser.add_argument("--sinks", default="bigquery,sqlite,timescale")
    return parser.parse_args()


if __name__ == "__main__":
    main()
