"""Pool, earnings, outflow, position index and concentration."""

import pytest

from app.model.features import Pool
from app.processors.miner import MinerProcessor
from tests.support.features import BTC, features, flow, history, metric, values

MINERS = [flow("AntPool", "miner", 0.8, outflow=30), flow("F2Pool", "miner", 0.4, outflow=10)]


def test_a_block_alone() -> None:
    output = MinerProcessor().process(features(entities=[*MINERS, flow("Binance", outflow=7)]), None)
    assert values(output) == {
        "miner.pool": 1.0,
        "miner.fee_share": 62_500_000 / 375_000_000,
        "miner.revenue_btc": 3.75,
        "miner.empty_block": 0.0,
        "miner.outflow_btc": 40.0,
    }
    assert output.trace == "AntPool"
    assert output.amounts == {"miner.outflow_sat": 40 * BTC, "miner.blocks": 1}


def test_the_pool_has_its_labels_quality() -> None:
    found = metric(MinerProcessor(), "miner.pool", features())
    assert (found.quality, found.metadata) == (0.9, {"basis": "tag", "pool": "AntPool"})
    unknown = metric(MinerProcessor(), "miner.pool", features(pool=Pool()))
    assert (unknown.value, unknown.quality, unknown.metadata["pool"]) == (0.0, 1.0, "unknown")


def test_outflow_quality_is_weighted_and_lowered() -> None:
    found = metric(MinerProcessor(), "miner.outflow_btc", features(entities=MINERS, completeness=0.5))
    assert found.quality == pytest.approx((30 * 0.8 + 10 * 0.4) / 40 * 0.5)


def test_without_labels_there_is_no_outflow() -> None:
    output = MinerProcessor().process(features(labels="none"), history(50))
    assert not {"miner.outflow_btc", "miner.mpi"} & set(values(output))
    assert output.amounts == {}


def test_a_block_that_earns_nothing() -> None:
    nothing = features(subsidy_sat=0, total_fee_sat=0, coinbase_value_sat=0, tx_count=1, labels="none")
    assert values(MinerProcessor().process(nothing, None)) == {"miner.pool": 1.0, "miner.empty_block": 1.0}


def test_the_position_index_is_the_outflow_by_its_mean() -> None:
    past = history(20, totals={"miner.outflow_sat": 400 * BTC, "miner.blocks": 20})
    found = metric(MinerProcessor(), "miner.mpi", features(entities=MINERS), past)
    assert found.value == 2.0
    assert found.score == pytest.approx(1 / 3)
    assert found.metadata == {"blocks": 20, "mean_btc": 20.0}


@pytest.mark.parametrize("totals", [{}, {"miner.blocks": 9, "miner.outflow_sat": 1}, {"miner.blocks": 20}])
def test_without_a_mean_there_is_no_position_index(totals: dict[str, int]) -> None:
    assert "miner.mpi" not in values(MinerProcessor().process(features(), history(20, totals=totals)))


def test_concentration_of_a_short_history() -> None:
    # With this block's: 6 of AntPool, 2 of F2Pool, 2 unknown: 0.36 + 0.04 + 2 x 0.01.
    pools = ["AntPool"] * 5 + ["F2Pool"] * 2 + ["unknown"] * 2
    past = history(9, traces={"miner": pools})
    hhi = metric(MinerProcessor(), "miner.pool_hhi:144", features(), past)
    assert hhi.value == pytest.approx(0.42)
    assert hhi.metadata == {"blocks": 10, "pool": "AntPool", "unknown": 2}
    assert hhi.quality == pytest.approx(8 / 144)
    assert metric(MinerProcessor(), "miner.pool_top_share:1008", features(), past).value == 0.6


def test_concentration_takes_the_last_blocks_only() -> None:
    past = history(40, traces={"miner": ["F2Pool"] * 25 + ["AntPool"] * 15})
    found = metric(MinerProcessor(windows=(16, 32)), "miner.pool_top_share:16", features(), past)
    assert (found.value, found.quality) == (1.0, 1.0)
    wide = metric(MinerProcessor(windows=(16, 32)), "miner.pool_top_share:32", features(), past)
    assert (wide.value, wide.metadata["pool"]) == (0.5, "AntPool")


def test_unknown_pools_are_no_pool() -> None:
    past = history(19, traces={"miner": ["unknown"] * 19})
    output = MinerProcessor(windows=[20]).process(features(pool=Pool()), past)
    assert values(output)["miner.pool_hhi:20"] == pytest.approx(1 / 20)
    assert values(output)["miner.pool_top_share:20"] == 0.0


@pytest.mark.parametrize("windows", [[], [144, 144], [1008, 144], [0], [2000], "144", 144, [14.4]])
def test_windows_that_can_not_be(windows: object) -> None:
    with pytest.raises(ValueError, match="windows"):
        MinerProcessor(windows=windows)  # type: ignore[arg-type]
