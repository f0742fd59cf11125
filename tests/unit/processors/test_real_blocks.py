"""All processors on real and simulated blocks, through the runner: nothing fails, nothing out of range."""

from itertools import islice
from pathlib import Path

import pytest

from app.chain.extract import extract
from app.config import Settings
from app.labels.registry import builtin_labels
from app.processors.history import History, Past
from app.processors.registry import enabled_processors
from app.processors.run import Ran, run_processors
from app.sources.files import read_block_file
from app.sources.simulator import CHAIN, simulate

FIXTURES = Path(__file__).parents[2] / "fixtures" / "blocks"
NAMES = ("mempool", "miner", "whale", "exchange", "treasury")
SETTINGS = Settings(_env_file=None, processors=NAMES)


def run(value: bytes, history: History | None) -> Ran:
    block = extract(value, chain=CHAIN, isolated=history is None, labels=builtin_labels())
    return run_processors(enabled_processors(SETTINGS), block, history, version=1, correlation_id=None)


@pytest.mark.parametrize("height", [150013, 757739])
def test_a_real_block(height: int) -> None:
    ran = run(read_block_file(FIXTURES / f"{height}.json.zst"), None)
    assert ran.failures == {}
    assert {signal.signal_type for signal in ran.batch.signals} == set(NAMES)


def test_a_chain_of_blocks() -> None:
    pasts: list[Past] = []
    for value in islice(simulate(25, seed=4, start_height=880_000), 25):
        ran = run(value, History(pasts))
        assert ran.failures == {}
        pasts.append(ran.past)
    names = {signal.name for signal in ran.batch.signals}
    assert {
        "mempool.fee_pressure",
        "miner.pool_hhi:144",
        "whale.threshold_btc",
        "exchange.netflow_z",
    } <= names
    assert sum(past.totals["miner.blocks"] for past in pasts[-1:]) == 25
