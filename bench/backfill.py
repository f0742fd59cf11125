"""What a backfill costs the live pipeline: its latency beside 5,000 blocks of history, and without.

`python bench/backfill.py [--blocks N] [--sinks a,b] [--quiet N] [--niceness N]`. Everything that `sigstream
up` runs is started on servers of the bench's own, and a simulated chain is sent to it, two blocks a second,
none waiting for another: first alone, then beside `sigstream backfill` of small blocks from files into the
same stores for as long as that works, then alone again. The ratio is that of the 95th percentiles, from the
record on `blocks` to the last sink's receipt (as bench/latency.py has it): beside the backfill to alone,
before and after taken together. `noise_ratio` is alone after to alone before: how far the machine moved
meanwhile.

BigQuery is left out unless asked for: the emulator copies its table at each append, on one thread.
"""

import asyncio
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from subprocess import DEVNULL, Popen

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.config import Settings
from app.embedded.leash import leashed
from app.model.block import HEADER_DECODER
from app.sources.scenario import Scenario
from app.sources.simulator import simulate
from app.supervisor import Up, worker_environment
from bench._broker import Broker
from bench._harness import report
from bench._setup import REPOSITORY, bench_settings, temporary_place
from bench.latency import PACE_S, WARM_UP, WITHIN_S, Times, send, spread, times_of, total_ms

GOAL = 1.5
HISTORY = "history"
TIP = 1_000_000
"""Height from which on the live chain is sent: far above the history."""
SMALL = (2, 6)
"""Transactions of a block of the history."""
AT_ONCE = 10
"""Blocks of the live chain between two looks at the backfill."""


def main() -> None:
    """Measure and print."""
    options = _options()
    with temporary_place() as place:
        folder = _history(place / "blocks", options.blocks)
        live = bench_settings(place, "live", sinks=tuple(options.sinks.split(",")), first_height=TIP)
        with Up(live, write=lambda _line: None) as up:
            _measure(up, folder, options)


def _history(folder: Path, blocks: int) -> Path:
    folder.mkdir(parents=True)
    for value in Scenario(seed=3, blocks=blocks, transactions=SMALL).main:
        (folder / f"{HEADER_DECODER.decode(value).height}.json").write_bytes(value)
    return folder


def _measure(up: Up, folder: Path, options: Namespace) -> None:
    settings, broker = up.settings, Broker(up.settings.need_kafka())
    blocks = simulate(10**6, seed=1, start_height=TIP)
    _send(settings, blocks, WARM_UP)
    _await_settled(up, broker, WARM_UP)
    sent = {"before": _send(settings, blocks, options.quiet)}
    begun = time.monotonic()
    sent["beside"] = _beside(up, broker, blocks, folder, options)
    took_s = time.monotonic() - begun
    sent["after"] = _send(settings, blocks, options.quiet)
    _await_settled(up, broker, WARM_UP + sum(map(len, sent.values())))
    _print({name: times_of(settings, broker, ids) for name, ids in sent.items()}, took_s, options)
    broker.close()


def _beside(up: Up, broker: Broker, blocks: Iterator[bytes], folder: Path, options: Namespace) -> list[str]:
    """Correlation ids of what was sent while the backfill stored something."""
    process = _backfill(up.settings, folder, options)
    sent: list[str] = []
    topic = up.settings.model_copy(update={"namespace": HISTORY}).topic("signals.settled")
    while process.poll() is None:
        up.poll()
        ids = _send(up.settings, blocks, AT_ONCE)
        if 0 < broker.count(topic) < options.blocks:
            sent += ids
    if process.returncode:
        raise RuntimeError(f"the backfill ended with exit code {process.returncode}")
    return sent


def _backfill(settings: Settings, folder: Path, options: Namespace) -> Popen[bytes]:
    command = [sys.executable, "-P", "-m", "app.main", "backfill", "--namespace", HISTORY, "--source"]
    command += [str(folder), "--from", "0", "--to", str(options.blocks - 1), "--chain", "BTC-SIM"]
    command += ["--niceness", str(options.niceness)]
    environment = {**worker_environment(settings, 0), "PYTHONPATH": str(REPOSITORY)}
    return Popen(leashed(command), env=environment, stdin=DEVNULL, stdout=sys.stderr, start_new_session=True)


def _send(settings: Settings, blocks: Iterator[bytes], count: int) -> list[str]:
    return asyncio.run(send(settings, list(islice(blocks, count)), PACE_S))


def _await_settled(up: Up, broker: Broker, blocks: int) -> None:
    topic = up.settings.topic("signals.settled")
    if not up.wait_until(lambda: broker.count(topic) >= blocks, WITHIN_S):
        raise TimeoutError(f"{broker.count(topic)} of {blocks} blocks settled after {WITHIN_S:g} s")


def _print(found: dict[str, list[Times]], took_s: float, options: Namespace) -> None:
    totals = {name: [total_ms(times) for times in times_of_all] for name, times_of_all in found.items()}
    spreads = {name: spread(values) for name, values in totals.items()}
    quiet = spread(totals["before"] + totals["after"])
    report(
        "backfill",
        spreads["beside"]["p95"] / quiet["p95"],
        GOAL,
        baseline="the live pipeline alone, before and after",
        noise_ratio=spreads["after"]["p95"] / spreads["before"]["p95"],
        history_blocks=options.blocks,
        history_blocks_per_s=options.blocks / took_s,
        sinks=options.sinks,
        niceness=options.niceness,
        live_blocks={name: len(values) for name, values in totals.items()},
        live_ms=spreads,
        quiet_ms=quiet,
    )


def _options() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=5000, help="of history")
    parser.add_argument("--quiet", type=int, default=60, help="live blocks before, and after")
    parser.add_argument("--niceness", type=int, default=15, help="of the backfill")
    parser.add_argument("--sinks", default="sqlite,timescale")
    return parser.parse_args()


if __name__ == "__main__":
    main()
