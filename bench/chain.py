"""A long chain through all processors: what a block costs, early and late, and what it leaves in memory.

`python bench/chain.py`: 20,000 simulated blocks in order, from features to signals, without Kafka. The
baseline is the second thousand: by then the longest window (1,008 blocks) is full.
"""

import resource
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.chain.extract import extract
from app.config import Settings
from app.model.features import BlockFeatures
from app.pipeline.chain import Chain
from app.processors.registry import enabled_processors
from app.sources.scenario import Scenario
from app.sources.simulator import CHAIN
from bench._harness import report

GOAL = 1.2
THOUSAND = 1000


def features(options: Namespace) -> Iterator[BlockFeatures]:
    """Of small simulated blocks: what is measured comes behind extraction."""
    scenario = Scenario(seed=1, blocks=options.blocks, transactions=(5, 15))
    for place in scenario.perfect_order():
        yield extract(scenario.make(place), chain=CHAIN, isolated=False)


def main() -> None:
    """Measure and print."""
    options = _options()
    chain = Chain(enabled_processors(Settings(_env_file=None)))
    seconds = [0.0] * (options.blocks // THOUSAND)
    resident = list(seconds)
    for number, found in enumerate(features(options)):
        begun = perf_counter()
        effects = chain.arrive(found, now_ms=number, version=number + 1)
        seconds[number // THOUSAND] += perf_counter() - begun
        resident[number // THOUSAND] = _resident_mb()
        assert not effects.ran[0][1].failures, effects.ran[0][1].failures
    _print(options, seconds, resident)


def _print(options: Namespace, seconds: list[float], resident: list[float]) -> None:
    for number, (taken, size) in enumerate(zip(seconds, resident, strict=True), 1):
        print(f"thousand {number}: {taken:.2f} ms a block, {size:.0f} MB", flush=True)
    report(
        "chain",
        seconds[-1] / seconds[1],
        GOAL,
        blocks=options.blocks,
        blocks_per_s=options.blocks / sum(seconds),
        ms_first_thousand=seconds[0],
        ms_second_thousand=seconds[1],
        ms_last_thousand=seconds[-1],
        last_to_first=seconds[-1] / seconds[0],
        mb_second_thousand=resident[1],
        mb_end=resident[-1],
    )


def _resident_mb() -> float:
    """Largest so far, MB; Linux counts in kB, macOS in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1e6 if sys.platform == "darwin" else 1e3)


def _options() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=20_000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
