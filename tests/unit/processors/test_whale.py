"""Transfers, tiers, the adaptive threshold, what is no transfer, and ages."""

import pytest

from app.chain.histogram import histogram, lower_edge
from app.model.features import Histogram
from app.processors.whale import WhaleProcessor
from tests.support.features import BTC, by_name, features, history, metric, values


def test_a_block_alone() -> None:
    output = WhaleProcessor().process(features(), None)
    assert values(output) == {
        "whale.transfer_btc": 4000.0,
        "whale.largest_btc": 1000.0,
        "whale.self_transfer_btc": 0.0,
        "whale.consolidation_btc": 0.0,
        "whale.coinjoin_btc": 50.0,
        "whale.count:100btc": 3.0,
        "whale.sum_btc:100btc": 1700.0,
        "whale.count:500btc": 2.0,
        "whale.sum_btc:500btc": 1600.0,
        "whale.count:1000btc": 1.0,
        "whale.sum_btc:1000btc": 1000.0,
        "whale.coin_days_destroyed": 100_000.0,
        "whale.dormancy_days": 200.0,
    }
    found = by_name(output)
    assert found["whale.sum_btc:500btc"].score == 0.4
    assert found["whale.largest_btc"].metadata == {"txid": "cc" * 32}
    assert found["whale.coinjoin_btc"].metadata == {"txs": 1}
    assert output.trace == [100, 4, 1]


def test_a_block_without_whales() -> None:
    empty = features(
        transfer_sat=0,
        large_transfers=[],
        shapes={},
        transfers=Histogram(),
        aged_sat=0,
        coin_days_destroyed=0,
    )
    output = WhaleProcessor().process(empty, None)
    assert set(values(output).values()) == {0.0}
    assert "whale.dormancy_days" not in values(output)
    assert by_name(output)["whale.largest_btc"].metadata == {}


def test_what_is_missing_lowers_the_quality() -> None:
    found = by_name(WhaleProcessor().process(features(completeness=0.5, age_completeness=0.25), None))
    ages = {found[name].quality for name in ("whale.coin_days_destroyed", "whale.dormancy_days")}
    assert ages == {0.25}
    assert {m.quality for name, m in found.items() if "days" not in name} == {0.5}


def test_the_threshold_is_reached_by_a_thousandth_at_most() -> None:
    usual = histogram([BTC] * 999 + [80 * BTC])
    past = history(10, traces={"whale": [[usual.first, *usual.counts]] * 10})
    block = features(transfers=histogram([BTC, 60 * BTC, 79 * BTC, 300 * BTC]))
    found = by_name(WhaleProcessor().process(block, past))
    threshold = found["whale.threshold_btc"]
    # 10 of 10,000 are of 80 BTC, so whatever is above the others' bin is among the largest thousandth.
    assert 1.0 < threshold.value <= 1.25
    assert threshold.metadata["transfers"] == 10_000
    assert found["whale.count:top"].value == 3.0
    assert found["whale.sum_btc:top"].value == 439.0


def test_the_threshold_follows_the_window() -> None:
    usual = histogram([10 * BTC] * 1000)
    past = history(20, traces={"whale": [[1, 1000]] * 10 + [[usual.first, *usual.counts]] * 10})
    edge = lower_edge(usual.first + 1) / BTC
    assert metric(WhaleProcessor(window=10), "whale.threshold_btc", features(), past).value == edge


@pytest.mark.parametrize("traces", [[], [[0]] * 20, [[100, 99]] * 10])
def test_too_few_transfers_have_no_threshold(traces: list[list[int]]) -> None:
    output = WhaleProcessor().process(features(), history(len(traces), traces={"whale": traces}))
    assert not {"whale.threshold_btc", "whale.count:top", "whale.sum_btc:top"} & set(values(output))


def test_tiers_of_ones_own() -> None:
    output = values(WhaleProcessor(tiers_btc=[12.5, 700]).process(features(), None))
    assert (output["whale.count:12.5btc"], output["whale.count:700btc"]) == (3.0, 1.0)
    assert "whale.count:100btc" not in output


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"tiers_btc": [5]}, "tiers_btc begins with 5: the lowest that is kept is 10"),
        ({"tiers_btc": [500, 100]}, "each above the one before"),
        ({"tiers_btc": []}, "tiers_btc is"),
        ({"tiers_btc": 100}, "tiers_btc is 100"),
        ({"tiers_btc": ["100"]}, "tiers_btc is '100'"),
        ({"top_share": 1}, "top_share is 1"),
        ({"top_share": 0}, "top_share is 0"),
        ({"count_half": True}, "count_half is True"),
    ],
)
def test_parameters_that_can_not_be(params: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WhaleProcessor(**params)  # type: ignore[arg-type]
