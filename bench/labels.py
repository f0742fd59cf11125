"""Loading a million labels from CSV, against `csv.reader` over the same file.

`python bench/labels.py [--labels N] [--rounds N]`. The file is generated: addresses of the form of P2WPKH,
5,000 entities. Each load runs in a process of its own, as a worker's does, with the built-in labels, the
conflicts looked for and the version computed; the child tells its time and its peak memory (`VmHWM`,
interpreter and modules included). Goals for a million: 10 s and 400 MB; `ratio` is the median of the times
divided by 10 s, for as many labels as were asked for.
"""

import csv
import json
import random
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from pathlib import Path
from statistics import median
from time import perf_counter

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from bench._harness import in_turn, report  # noqa: E402

GOAL_S = 10.0
GOAL_MB = 400.0
ENTITIES = 5000
CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
"""Of bech32."""
LOAD = """
import json, sys
from pathlib import Path
from time import perf_counter
begun = perf_counter()
from app.labels.files import load_labels
loaded = load_labels([Path(sys.argv[1])])
took = perf_counter() - begun
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(json.dumps({"s": took, "mb": int(peak.split()[1]) / 1024, "labels": len(loaded.labels.by_address)}))
"""


def main() -> None:
    """Measure and print."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="sigstream-labels-") as directory:
        path = Path(directory) / "labels.csv"
        generate(path, options.labels)
        print(f"{options.labels:,} labels, {path.stat().st_size:,} bytes", flush=True)
        peaks: list[float] = []
        taken = in_turn(
            options.rounds, {"load": lambda: load(path, peaks), "csv_reader": lambda: read_only(path)}
        )
    took, baseline = median(taken["load"]), median(taken["csv_reader"])
    report(
        "labels",
        took / GOAL_S,
        1.0,
        rounds=options.rounds,
        labels=options.labels,
        load_s=took,
        csv_reader_s=baseline,
        times_csv_reader=took / baseline,
        peak_mb=max(peaks),
        peak_goal_mb=GOAL_MB,
        peak_holds=max(peaks) <= GOAL_MB,
    )


def load(path: Path, peaks: list[float]) -> float:
    """Seconds that loading takes in a process of its own; its peak memory (MB) goes to `peaks`."""
    ran = subprocess.run(
        [sys.executable, "-c", LOAD, path], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True
    )
    found = json.loads(ran.stdout)
    peaks.append(found["mb"])
    seconds: float = found["s"]
    return seconds


def read_only(path: Path) -> float:
    """Seconds that `csv.reader` takes to go over the file and keep nothing."""
    begun = perf_counter()
    with path.open(encoding="utf-8", newline="") as file:
        for _ in csv.reader(file):
            pass
    return perf_counter() - begun


def generate(path: Path, labels: int) -> None:
    """A CSV of so many labels; the same each time."""
    rng = random.Random(1)
    kinds = ("exchange", "miner", "treasury", "other")
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("address,entity,type,source,confidence\n")
        for number in range(labels):
            address = "bc1q" + "".join(rng.choices(CHARSET, k=38))
            entity = number % ENTITIES
            file.write(f"{address},Entity {entity},{kinds[entity % 4]},generated,0.{entity % 9 + 1}\n")


def _options() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
