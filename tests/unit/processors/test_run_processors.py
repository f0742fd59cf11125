"""A block's batch from several processors: what every signal carries, and what a bad processor costs."""

from datetime import UTC, datetime

import msgspec
import pytest

from app.chain.extract import extract
from app.dedupe import digest_of
from app.model.features import BlockFeatures
from app.model.signal import MAX_NAMES, Signal, SignalBatch
from app.processors.base import History, history_value, run_processors
from app.processors.builtin import builtin_processors
from app.sources.simulator import CHAIN, simulate

BLOCKS = [extract(value, chain=CHAIN, isolated=False) for value in simulate(40, seed=5, start_height=890_000)]
HISTORY = History([history_value(block) for block in BLOCKS[:-1]])
BLOCK = BLOCKS[-1]


class Fixed:
    """Returns what it was given; raises it, where it is an exception."""

    def __init__(self, name: str, *answer: Signal | Exception) -> None:
        self.name = name
        self._answer = answer

    def process(self, features: BlockFeatures, history: History | None) -> list[Signal]:
        for part in self._answer:
            if isinstance(part, Exception):
                raise part
        return [part for part in self._answer if isinstance(part, Signal)]


def run(
    *processors: Fixed, block: BlockFeatures = BLOCK, history: History | None = HISTORY
) -> tuple[SignalBatch, list[str]]:
    """The batch of the built-in processors and these, and the names of those that failed."""
    failed: list[str] = []
    batch = run_processors(
        [*processors, *builtin_processors()],
        block,
        history,
        version=7,
        correlation_id="c-1",
        on_error=lambda name, _: failed.append(name),
    )
    return batch, failed


def names(batch: SignalBatch) -> list[str]:
    return [signal.name for signal in batch.signals]


def test_the_batch_is_the_blocks() -> None:
    batch, failed = run()
    assert failed == []
    assert (batch.provider, batch.symbol, batch.correlation_id) == ("sigstream", CHAIN, "c-1")
    when = datetime.fromtimestamp(BLOCK.time, UTC)
    assert batch.ts == when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{BLOCK.height % 1_000_000:06d}Z"
    for signal in batch.signals:
        assert (signal.block_height, signal.block_hash, signal.block_time) == (BLOCK.height, BLOCK.hash, when)
        assert signal.version == 7
        assert signal.signal_type == signal.name.partition(".")[0]
        assert signal.score is not None
        assert -1 <= signal.score <= 1
        assert signal.confidence == 1.0 or signal.name == "miner.pool"
        assert (signal.created_at, signal.first_seen_at) == (None, None)


def test_the_same_block_and_history_give_the_same_bytes() -> None:
    first, second = run()[0], run()[0]
    assert msgspec.json.encode(first) == msgspec.json.encode(second)
    assert [digest_of(signal) for signal in first.signals] == [digest_of(signal) for signal in second.signals]


def test_an_isolated_block_is_shown_no_history() -> None:
    alone = msgspec.structs.replace(BLOCK, isolated=True)
    assert "mempool.fee_pressure" in names(run()[0])
    assert "mempool.fee_pressure" not in names(run(block=alone)[0])
    assert run(block=alone)[0] == run(block=alone, history=None)[0]


def good(name: str, value: float | None = 1.0, **fields: float) -> Signal:
    return Signal(name=name, value=value, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(Fixed("bad", good("bad.a"), ZeroDivisionError()), id="raises"),
        pytest.param(Fixed("bad", good("bad.a"), good("bad.b", float("nan"))), id="nan"),
        pytest.param(Fixed("bad", good("bad.a", float("inf"))), id="infinite"),
        pytest.param(Fixed("bad", good("bad.a", None)), id="no value"),
        pytest.param(Fixed("bad", good("bad.a", score=1.5)), id="score"),
        pytest.param(Fixed("bad", good("bad.a", score=float("nan"))), id="score nan"),
        pytest.param(Fixed("bad", good("bad.a", confidence=-0.1)), id="confidence"),
        pytest.param(Fixed("bad", good("bad.a"), good("bad.a")), id="twice"),
        pytest.param(Fixed("bad", good("bad|a")), id="name"),
        pytest.param(Fixed("bad", *(good(f"bad.{n}") for n in range(MAX_NAMES + 1))), id="too many"),
        pytest.param(
            Fixed(
                "bad",
                Signal(name="bad.a", value=1.0, metadata=msgspec.Raw(b'{"a":"' + b"x" * 64_000 + b'"}')),
            ),
            id="metadata",
        ),
    ],
)
def test_a_bad_processor_costs_its_own_signals_only(bad: Fixed) -> None:
    batch, failed = run(bad)
    assert failed == ["bad"]
    assert batch == run()[0]


def test_a_name_belongs_to_the_processor_that_came_first() -> None:
    batch, failed = run(Fixed("mine", good("mempool.fullness", 0.25)))
    assert failed == ["mempool"]
    assert [s.value for s in batch.signals if s.name == "mempool.fullness"] == [0.25]


def test_a_processor_may_choose_another_signal_type() -> None:
    batch, failed = run(Fixed("mine", Signal(name="x", value=1.0, signal_type="treasury"), good("y")))
    assert failed == []
    assert {s.name: s.signal_type for s in batch.signals[:2]} == {"x": "treasury", "y": "mine"}
