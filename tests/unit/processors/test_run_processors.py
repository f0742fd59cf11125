"""A block's batch from several processors: what every signal carries, and what a bad processor costs."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from math import exp
from typing import Any

import msgspec
import orjson
import pytest

from app.chain.extract import extract
from app.config import Settings
from app.dedupe import digest_of
from app.errors import BudgetExceeded
from app.model.features import BlockFeatures
from app.model.signal import MAX_NAMES
from app.processors.base import Metric, Output
from app.processors.history import History, Past
from app.processors.registry import enabled_processors
from app.processors.run import Enabled, Ran, run_processors
from app.sources.simulator import CHAIN, simulate

BLOCKS = [extract(value, chain=CHAIN, isolated=False) for value in simulate(40, seed=5, start_height=890_000)]
BLOCK = BLOCKS[-1]
INSTALLED = enabled_processors(Settings(_env_file=None))


class Fixed:
    """Returns what it was given, or calls it."""

    def __init__(
        self, name: str, *answer: Metric, act: Callable[[], object] = lambda: None, **rest: Any
    ) -> None:
        self.name = name
        self._answer = Output(answer, **rest)
        self._act = act

    def process(self, features: BlockFeatures, history: History | None) -> Output:
        self._act()
        return self._answer


def history_of(blocks: list[BlockFeatures]) -> History:
    pasts: list[Past] = []
    for features in blocks:
        ran = run_processors(INSTALLED, features, History(pasts), version=1, correlation_id=None)
        assert ran.failures == {}
        pasts.append(ran.past)
    return History(pasts)


HISTORY = history_of(BLOCKS[:-1])


def run(*processors: Fixed, block: BlockFeatures = BLOCK, history: History | None = HISTORY) -> Ran:
    """The installed processors and these, before them."""
    enabled = [*(Enabled(processor, budget_s=0.05) for processor in processors), *INSTALLED]
    return run_processors(enabled, block, history, version=7, correlation_id="c-1")


def names(ran: Ran) -> list[str]:
    return [signal.name for signal in ran.batch.signals]


def test_the_batch_is_the_blocks() -> None:
    batch = run().batch
    assert (batch.provider, batch.symbol, batch.correlation_id) == ("sigstream", CHAIN, "c-1")
    when = datetime.fromtimestamp(BLOCK.time, UTC)
    assert batch.ts == when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{BLOCK.height % 1_000_000:06d}Z"
    for signal in batch.signals:
        assert (signal.block_height, signal.block_hash, signal.block_time) == (BLOCK.height, BLOCK.hash, when)
        assert signal.version == 7
        assert signal.signal_type == signal.name.partition(".")[0]
        assert (signal.created_at, signal.first_seen_at) == (None, None)
        found = orjson.loads(signal.metadata_text() or "")
        assert found["labels"] == BLOCK.labels
        assert found["window"] == 39


def test_the_same_block_and_history_give_the_same_bytes() -> None:
    first, second = run().batch, run().batch
    assert msgspec.json.encode(first) == msgspec.json.encode(second)
    assert [digest_of(signal) for signal in first.signals] == [digest_of(signal) for signal in second.signals]


def test_an_isolated_block_is_shown_no_history() -> None:
    alone = msgspec.structs.replace(BLOCK, isolated=True)
    assert "mempool.fee_pressure" in names(run())
    assert "mempool.fee_pressure" not in names(run(block=alone))
    assert run(block=alone).batch == run(block=alone, history=None).batch
    assert {signal.confidence for signal in run(block=alone).batch.signals} == {0.0}


def past(height: int, value: float, missing: int = 0) -> Past:
    return Past(height=height, hash="", missing=missing, values={"x.y": value})


def test_confidence_is_surprise_times_warm_up_times_quality() -> None:
    values = [float(number) for number in range(72)]  # median 35.5, MAD 18
    history = History([past(height, value) for height, value in enumerate(values)])
    (signal, *_) = run(
        Fixed("x", Metric("x.y", 35.5 + 2 * 1.4826 * 18, quality=0.8)), history=history
    ).batch.signals
    assert signal.confidence == pytest.approx((1 - exp(-2)) * 72 / 144 * 0.8)


def test_confidence_is_lower_behind_a_gap() -> None:
    values = [float(number) for number in range(143)]
    whole = History([past(height, value) for height, value in enumerate(values)])
    holed = History([past(height, value, 36 if height == 100 else 0) for height, value in enumerate(values)])
    confidences = [
        run(Fixed("x", Metric("x.y", 500.0)), history=h).batch.signals[0].confidence for h in (whole, holed)
    ]
    assert confidences[1] == pytest.approx((confidences[0] or 0) * 0.75)


def forever() -> None:
    while True:
        pass


def stubborn() -> None:
    while True:
        try:
            forever()
        except Exception:
            continue


def fail() -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(Fixed("bad", act=fail), id="raises"),
        pytest.param(Fixed("bad", act=forever), id="loops"),
        pytest.param(Fixed("bad", act=stubborn), id="loops and catches"),
        pytest.param(Fixed("bad", act=lambda: time.sleep(60)), id="sleeps"),
        pytest.param(Fixed("bad", Metric("bad.a", 1.0), Metric("bad.b", float("nan"))), id="nan"),
        pytest.param(Fixed("bad", Metric("bad.a", float("inf"))), id="infinite"),
        pytest.param(Fixed("bad", Metric("bad.a", None)), id="no value"),  # type: ignore[arg-type]
        pytest.param(Fixed("bad", Metric("bad.a", "1")), id="text"),  # type: ignore[arg-type]
        pytest.param(Fixed("bad", Metric("bad.a", 1.0, score=1.5)), id="score"),
        pytest.param(Fixed("bad", Metric("bad.a", 1.0, score=float("nan"))), id="score nan"),
        pytest.param(Fixed("bad", Metric("bad.a", 1.0, quality=-0.1)), id="quality"),
        pytest.param(Fixed("bad", Metric("bad.a", 1.0), Metric("bad.a", 1.0)), id="twice"),
        pytest.param(Fixed("bad", Metric("bad|a", 1.0)), id="name"),
        pytest.param(Fixed("bad", *(Metric(f"bad.{n}", 1.0) for n in range(MAX_NAMES + 1))), id="too many"),
        pytest.param(Fixed("bad", Metric("bad.a", 1.0, metadata={"a": "x" * 64_000})), id="metadata"),
        pytest.param(Fixed("bad", Metric("bad.a", 1.0, metadata={"a": object()})), id="metadata no JSON"),
        pytest.param(Fixed("bad", Metric("bad.a", 1.0), state=object()), id="state no JSON"),
        pytest.param(Fixed("bad", Metric("bad.a", 1.0), amounts={"a": 1.5}), id="amount"),
    ],
)
def test_a_bad_processor_costs_its_own_signals_only(bad: Fixed) -> None:
    ran = run(bad)
    assert list(ran.failures) == ["bad"]
    assert ran.batch == run().batch
    assert ran.past == run().past


class Lazy(Fixed):
    """Hangs once somebody looks at its metrics."""

    def process(self, features: BlockFeatures, history: History | None) -> Output:
        return Output(self._metrics())  # type: ignore[arg-type]

    def _metrics(self) -> Iterator[Metric]:
        forever()
        yield Metric("lazy.a", 1.0)


def test_metrics_are_made_within_the_budget() -> None:
    assert isinstance(run(Lazy("lazy")).failures["lazy"], BudgetExceeded)


def test_a_processor_that_failed_goes_on_from_its_state() -> None:
    before = run(Fixed("x", state={"n": 1})).past
    failed = run(Fixed("x", act=fail), history=History([before])).past
    assert History([failed]).state("x") == {"n": 1}


def test_history_can_not_be_changed() -> None:
    past = run(Fixed("x", Metric("x.a", 1.0), state={"n": 1}, trace=[1])).past
    history = History([past])
    history.state("x")["n"] = 2
    history.traces("x")[0].append(2)
    history.values("x.a").append(9.0)
    assert (history.state("x"), history.traces("x"), history.values("x.a")) == ({"n": 1}, [[1]], [1.0])


def test_a_processor_that_hangs_is_named() -> None:
    assert isinstance(run(Fixed("bad", act=forever)).failures["bad"], BudgetExceeded)


def test_a_name_belongs_to_the_processor_that_came_first() -> None:
    ran = run(Fixed("mine", Metric("mempool.fullness", 0.25)))
    assert list(ran.failures) == ["mempool"]
    assert [s.value for s in ran.batch.signals if s.name == "mempool.fullness"] == [0.25]


def test_traces_states_and_amounts_reach_later_blocks() -> None:
    first = run(Fixed("x", trace=[1], state={"s": 2}, amounts={"n": 3})).past
    history = History([*HISTORY.pasts, first])
    assert history.traces("x") == [[1]]
    assert history.state("x") == {"s": 2}
    assert history.sums(10)[0]["n"] == 3
    second = run(Fixed("x", amounts={"n": 4}), history=history).past
    assert second.totals["n"] == 7
    assert second.blocks == 41
