"""Fee rates, fullness and pressure of a block; backlog and fee floor of a snapshot."""

from datetime import UTC, datetime
from math import log1p

import pytest

from app.model.mempool import FeerateBin, MempoolSnapshot
from app.processors.mempool import MempoolProcessor
from app.processors.snapshot import snapshot_metrics
from tests.support.features import by_name, features, history, metric, values

PRESSURE = "mempool.fee_pressure"


def test_without_a_window() -> None:
    output = MempoolProcessor().process(features(), None)
    assert values(output) == {
        "mempool.feerate_p10": 1.0,
        "mempool.feerate_p25": 2.0,
        "mempool.feerate_p50": 20.0,
        "mempool.feerate_p75": 60.0,
        "mempool.feerate_p90": 180.0,
        "mempool.fullness": 0.5,
    }
    assert [m.score for m in output.metrics] == [1 / 21, 2 / 22, 0.5, 0.75, 0.9, 0.5]
    assert output.trace == log1p(62_500_000)


def test_fee_pressure_is_the_robust_z_of_the_log_fee() -> None:
    usual = log1p(62_500_000)  # median 0.6 below, MAD 0.3
    past = history(11, traces={"mempool": [usual - 0.1 * number for number in range(1, 12)]})
    pressure = metric(MempoolProcessor(), PRESSURE, features(), past)
    assert pressure.value == pytest.approx(0.6 / (1.4826 * 0.3))
    assert pressure.score == pytest.approx(0.6 / (1.4826 * 0.3) / 5)
    assert pressure.metadata == {"total_fee_sat": 62_500_000}


def test_fee_pressure_scores_stay_within_one() -> None:
    past = history(20, traces={"mempool": [1.0 + 0.001 * number for number in range(20)]})
    pressure = metric(MempoolProcessor(), PRESSURE, features(), past)
    assert (pressure.score, pressure.value > 5) == (1.0, True)


def test_a_short_window_gives_no_fee_pressure() -> None:
    past = history(9, traces={"mempool": [1.0] * 9})
    assert PRESSURE not in values(MempoolProcessor().process(features(), past))


def test_only_the_window_counts() -> None:
    past = history(40, traces={"mempool": [1e6] * 20 + [log1p(62_500_000)] * 20})
    assert metric(MempoolProcessor(window=20), PRESSURE, features(), past).value == 0.0


def test_an_empty_block_has_no_feerates() -> None:
    output = MempoolProcessor().process(features(feerate_percentiles=[], total_fee_sat=0), None)
    assert list(values(output)) == ["mempool.fullness"]


def test_unknown_fees_lower_the_quality() -> None:
    found = by_name(MempoolProcessor().process(features(fee_completeness=0.25), None))
    assert (found["mempool.feerate_p50"].quality, found["mempool.fullness"].quality) == (0.25, 1.0)


@pytest.mark.parametrize(
    "params", [{"feerate_half": 0}, {"pressure_full": -1}, {"window": 0}, {"window": 2000}, {"window": 1.5}]
)
def test_parameters_that_can_not_be(params: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(params))):
        MempoolProcessor(**params)  # type: ignore[arg-type]


def snapshot(min_fee: float, *bins: tuple[float, int]) -> MempoolSnapshot:
    return MempoolSnapshot(
        chain="BTC",
        time=datetime(2024, 1, 1, tzinfo=UTC),
        tx_count=len(bins),
        vsize=sum(vsize for _, vsize in bins),
        total_fee_sat=0,
        min_fee=min_fee,
        histogram=[FeerateBin(low, vsize, 0) for low, vsize in bins],
        estimates={},
    )


@pytest.mark.parametrize(
    ("found", "blocks", "floor"),
    [
        pytest.param(snapshot(1.0), 0.0, 1.0, id="empty"),
        pytest.param(snapshot(1.0, (2.0, 400_000), (50.0, 599_999)), 0.999999, 1.0, id="just room"),
        pytest.param(snapshot(1.0, (2.0, 400_001), (50.0, 599_999)), 1.0, 2.0, id="just full"),
        pytest.param(snapshot(1.0, (2.0, 3_000_000), (50.0, 1_000_000)), 4.0, 50.0, id="backlog"),
        pytest.param(snapshot(60.0, (2.0, 3_000_000), (50.0, 1_000_000)), 4.0, 60.0, id="min fee"),
    ],
)
def test_backlog_and_fee_floor(found: MempoolSnapshot, blocks: float, floor: float) -> None:
    metrics = {m.name: m.value for m in snapshot_metrics(found)}
    assert metrics == {"mempool.backlog_blocks": blocks, "mempool.fee_floor": floor}
