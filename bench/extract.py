"""A large block's JSON -> features and all signals, against `orjson.loads` of the same bytes.

`python bench/extract.py [--block PATH] [--rounds N]`; the block defaults to `SIGSTREAM_BENCH_BLOCK`, or
to `../shared/data/blocks/866342.json.zst` beside the repository (4,864 transactions, 5.45 MB), or else
to a small one in the repository. With all six processors, a week of blocks behind them as in a worker that
has run for long, and every tenth address of the block's outputs labelled as one of 15 exchanges. Goal: at
most 0.6 of the time that an untyped decode alone takes. The garbage collector is on, as in a worker: a
third to a half of `orjson.loads` is its work on the dicts made, which typed structs spare it.
"""

import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from random import Random

import msgspec
import orjson

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from app.chain.extract import extract  # noqa: E402
from app.config import Settings  # noqa: E402
from app.errors import SigstreamError  # noqa: E402
from app.labels.registry import Kind, Labels, Owner, builtin_labels  # noqa: E402
from app.model.block import BLOCK_DECODER  # noqa: E402
from app.model.signal import SignalBatch  # noqa: E402
from app.processors.history import MOST, History, Past  # noqa: E402
from app.processors.registry import enabled_processors  # noqa: E402
from app.processors.run import run_processors  # noqa: E402
from app.sources.files import read_block_file  # noqa: E402
from bench._harness import interleave, medians, report  # noqa: E402

GOAL = 0.6
DEFAULT_BLOCK = REPOSITORY / "../shared/data/blocks/866342.json.zst"
SMALL_BLOCK = REPOSITORY / "tests/fixtures/blocks/757739.json.zst"
"""In the repository; too small for the goal, as what a block costs beside its transactions weighs more."""
PROCESSORS = enabled_processors(Settings.model_construct())
"""All, whatever the environment enables."""
LABELLED_SHARE = 10
"""One address in so many of the block's gets a label: exchanges take part in many transactions."""
EXCHANGES = 15


def main() -> None:
    """Measure and print."""
    options = _options()
    try:
        value = read_block_file(options.block)
    except SigstreamError as error:
        sys.exit(f"{error}: give a block with --block PATH or SIGSTREAM_BENCH_BLOCK")
    labels = _labels(value)
    history = _history(value, labels)
    signals = _signals(value, labels, history).signals
    print(f"{options.block.name}: {len(value):,} bytes, {len(signals)} signals", flush=True)
    tasks = {
        "orjson_loads": lambda: orjson.loads(value),
        "typed_decode": lambda: BLOCK_DECODER.decode(value),
        "extract_and_signals": lambda: _signals(value, labels, history),
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
        signals=len(signals),
        processors=sorted({signal.signal_type or "" for signal in signals}),
        medians_ms=figures,
    )


def _signals(value: bytes, labels: Labels, history: History) -> SignalBatch:
    features = extract(value, chain="BTC", isolated=False, labels=labels)
    ran = run_processors(PROCESSORS, features, history, version=1, correlation_id=None)
    for processor, error in ran.failures.items():
        sys.exit(f"processor {processor} failed: {error!r}")
    return ran.batch


def _labels(value: bytes) -> Labels:
    """The built-in ones, and every tenth address of the block as one of 15 exchanges'."""
    known = builtin_labels()
    owners = tuple(Owner(f"Exchange {number}", Kind.EXCHANGE, "bench", 0.9) for number in range(EXCHANGES))
    outputs = (output for tx in BLOCK_DECODER.decode(value).tx for output in tx.vout)
    addresses = sorted({out.scriptPubKey.address for out in outputs if out.scriptPubKey.address})
    first = len(known.owners)
    mine = {address: first + number % EXCHANGES for number, address in enumerate(addresses[::LABELLED_SHARE])}
    return Labels((*known.owners, *owners), mine | known.by_address, known.tags, "bench")


def _history(value: bytes, labels: Labels) -> History:
    """As often as history holds blocks the block itself, at the heights before its own; each signal, and
    what is forecast, between half and one and a half of its value."""
    rng = Random(1)
    block = extract(value, chain="BTC", isolated=False, labels=labels)
    pasts: list[Past] = []
    for height in range(block.height - MOST, block.height):
        by = rng.uniform(0.5, 1.5)
        rates = [by * rate for rate in block.feerate_percentiles]
        features = msgspec.structs.replace(block, height=height, feerate_percentiles=rates)
        ran = run_processors(PROCESSORS, features, History(pasts), version=1, correlation_id=None)
        ran.past.values = {name: x * rng.uniform(0.5, 1.5) for name, x in ran.past.values.items()}
        pasts.append(ran.past)
    return History(pasts)


def _options() -> Namespace:
    parser = ArgumentParser(description=__doc__)
    beside = DEFAULT_BLOCK if DEFAULT_BLOCK.exists() else SMALL_BLOCK
    default = Path(os.environ.get("SIGSTREAM_BENCH_BLOCK", beside))
    parser.add_argument("--block", type=Path, default=default)
    parser.add_argument("--rounds", type=int, default=15)
    return parser.parse_args()


if __name__ == "__main__":
    main()
