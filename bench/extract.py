"""A large block's JSON -> features and all signals, against `orjson.loads` of the same bytes.

`python bench/extract.py [--block PATH] [--rounds N]`; the block defaults to `SIGSTREAM_BENCH_BLOCK`, or
to `../shared/data/blocks/866342.json.zst` beside the repository (4,864 transactions, 5.45 MB), or else
to a small one in the repository. Goal: at
most half the time that an untyped decode alone takes. The garbage collector is on, as in a worker: over a
third of `orjson.loads` is its work on the dicts made, which typed structs spare it.
"""

import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

import orjson

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from app.chain.extract import extract  # noqa: E402
from app.errors import SigstreamError  # noqa: E402
from app.model.block import BLOCK_DECODER  # noqa: E402
from app.model.signal import SignalBatch  # noqa: E402
from app.processors.base import History, run_processors  # noqa: E402
from app.processors.builtin import builtin_processors  # noqa: E402
from app.sources.files import read_block_file  # noqa: E402
from bench._harness import interleave, medians, report  # noqa: E402

GOAL = 0.5
DEFAULT_BLOCK = REPOSITORY / "../shared/data/blocks/866342.json.zst"
SMALL_BLOCK = REPOSITORY / "tests/fixtures/blocks/757739.json.zst"
"""In the repository; too small for the goal, as what a block costs beside its transactions weighs more."""
HISTORY = History([15.0 + (number * 37 % 100) / 100 for number in range(144)])


def main() -> None:
    """Measure and print."""
    options = _options()
    try:
        value = read_block_file(options.block)
    except SigstreamError as error:
        sys.exit(f"{error}: give a block with --block PATH or SIGSTREAM_BENCH_BLOCK")
    print(f"{options.block.name}: {len(value):,} bytes, {len(_signals(value).signals)} signals", flush=True)
    tasks = {
        "orjson_loads": lambda: orjson.loads(value),
        "typed_decode": lambda: BLOCK_DECODER.decode(value),
        "extract_and_signals": lambda: _signals(value),
    }
    taken = medians(interleave(options.rounds, tasks))
    figures = {name: round(milliseconds, 3) for name, milliseconds in taken.items()}
    ratio = taken["extract_and_signals"] / taken["orjson_loads"]
    report(
        "extract",
        ratio,
        GOAL,
        rounds=options.rounds,
        block=options.block.name,
        bytes=len(value),
        medians_ms=figures,
    )


def _signals(value: bytes) -> SignalBatch:
    features = extract(value, chain="BTC", isolated=False)
    return run_processors(
        builtin_processors(), features, HISTORY, version=1, correlation_id=None, on_error=_failed
    )


def _failed(processor: str, error: Exception) -> None:
    sys.exit(f"processor {processor} failed: {error!r}")


def _options() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    beside = DEFAULT_BLOCK if DEFAULT_BLOCK.exists() else SMALL_BLOCK
    default = Path(os.environ.get("SIGSTREAM_BENCH_BLOCK", beside))
    parser.add_argument("--block", type=Path, default=default)
    parser.add_argument("--rounds", type=int, default=15)
    return parser.parse_args()


if __name__ == "__main__":
    main()
