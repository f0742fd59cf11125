"""Blocks to signals in plain Python."""

import json

import pytest

from app.errors import ConfigurationError
from app.model.features import BlockFeatures
from app.pipeline.orchestrator import PipelineOrchestrator, PipelineResult, ProcessorConfig
from app.processors.base import Output
from app.processors.history import History
from app.sources.simulator import simulate

BLOCKS = list(simulate(30, seed=4, start_height=700_000))


class Failing:
    name = "failing"

    def process(self, features: BlockFeatures, history: History | None) -> Output:
        raise ZeroDivisionError("by design")


def feed(orchestrator: PipelineOrchestrator, *blocks: bytes) -> list[PipelineResult]:
    return [orchestrator.process_new_block(block) for block in blocks]


def test_every_block_gives_its_signals_and_how_long_they_took() -> None:
    orchestrator = PipelineOrchestrator(
        {"mempool": ProcessorConfig(), "whale": ProcessorConfig(enabled=False)}
    )
    results = feed(orchestrator, *BLOCKS)
    assert all(result.success and result.error is None for result in results)
    assert len({result.correlation_id for result in results}) == len(BLOCKS)
    assert {signal.signal_type for signal in results[-1].signals} == {"mempool"}
    assert "mempool.fee_pressure" in {signal.name for signal in results[-1].signals}
    assert set(results[-1].timing_metrics) == {"extract", "mempool", "total"}


def test_a_dict_is_as_good_as_json() -> None:
    one = PipelineOrchestrator({"mempool": ProcessorConfig()}).process_new_block(BLOCKS[0])
    two = PipelineOrchestrator({"mempool": ProcessorConfig()}).process_new_block(json.loads(BLOCKS[0]))
    assert [(s.name, s.value) for s in one.signals] == [(s.name, s.value) for s in two.signals]


def test_a_refused_block_says_why() -> None:
    orchestrator = PipelineOrchestrator({"mempool": ProcessorConfig()})
    (result,) = feed(orchestrator, b'{"height": "x"}')
    assert not result.success
    assert "block" in (result.error or "")
    assert result.signals == []


def test_a_failing_processor_is_named_and_costs_only_its_own() -> None:
    (result,) = feed(PipelineOrchestrator([Failing()]), BLOCKS[0])
    assert not result.success
    assert result.error == "failing at 700000: by design"


def test_a_reorganisation_takes_signals_back() -> None:
    orchestrator = PipelineOrchestrator({"mempool": ProcessorConfig()})
    feed(orchestrator, *simulate(20, seed=4))
    results = feed(orchestrator, *simulate(4, seed=4, start_height=18, fork=1))
    assert any(signal.retracted_at for result in results for signal in result.signals)


def test_a_gap_is_not_waited_for() -> None:
    orchestrator = PipelineOrchestrator({"mempool": ProcessorConfig()})
    (*_, last) = feed(orchestrator, *BLOCKS[:10], *BLOCKS[12:15])
    assert {signal.block_height for signal in last.signals} == {700_014}


def test_a_processor_that_is_not_installed() -> None:
    with pytest.raises(ConfigurationError, match="no processor 'moon' is installed"):
        PipelineOrchestrator({"moon": ProcessorConfig()})
    with pytest.raises(ConfigurationError, match="refuses its parameters"):
        PipelineOrchestrator({"mempool": ProcessorConfig(params={"moon": 1})})
