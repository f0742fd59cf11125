"""A processor is a function of a block and its history: nothing to start, nothing to mock."""

import pytest

from app.chain.extract import extract
from app.processors.history import History, Past
from app.processors.registry import ProcessorConfig, make_processors
from app.processors.run import Ran, run_processors
from app.sources.simulator import CHAIN, simulate


def run(blocks: int, **params: float) -> Ran:
    """The last of some simulated blocks, after all those before it."""
    processors = make_processors({"batching": ProcessorConfig(params=params)})
    ran: Ran | None = None
    pasts: list[Past] = []
    for value in simulate(blocks, seed=1, start_height=880_000):
        features = extract(value, chain=CHAIN, isolated=False)
        ran = run_processors(processors, features, History(pasts), version=1, correlation_id=None)
        pasts.append(ran.past)
    assert ran is not None
    assert ran.failures == {}
    return ran


def test_a_first_block_has_no_surge() -> None:
    (signal,) = run(1).batch.signals
    assert (signal.name, signal.signal_type, signal.confidence) == (
        "batching.outputs_per_tx",
        "batching",
        0.0,
    )
    assert signal.value is not None
    assert 2 < signal.value < 4


def test_with_history_there_is_one() -> None:
    assert [signal.name for signal in run(15).batch.signals] == ["batching.outputs_per_tx", "batching.surge"]


def test_parameters_are_checked() -> None:
    with pytest.raises(Exception, match=r"half is -1.*SIGSTREAM_PROCESSOR_PARAMS"):
        run(1, half=-1)
