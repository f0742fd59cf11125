"""Flows of exchanges, by exchange and of all."""

from typing import Any

import pytest

from app.processors.exchange import ExchangeProcessor
from tests.support.features import BTC, by_name, features, flow, history, metric, values

ALPHA = flow("Alpha", "exchange", 0.9, received=70, spent=10, inflow=40, outflow=0, internal_in=20)
BETA = flow("Beta", "exchange", 0.5, received=0, spent=50, outflow=30, internal_out=20)
BLOCK = features(
    entities=[ALPHA, BETA, flow("Pool", "miner", outflow=5)], top_exchange_inflows_sat=[25 * BTC, 5 * BTC]
)


def test_flows_of_a_block() -> None:
    assert values(ExchangeProcessor().process(BLOCK, None)) == {
        "exchange.inflow_btc": 40.0,
        "exchange.outflow_btc": 30.0,
        "exchange.netflow_btc": 10.0,
        "exchange.whale_ratio": 0.75,
        "exchange.inflow_btc:Alpha": 40.0,
        "exchange.outflow_btc:Alpha": 0.0,
        "exchange.netflow_btc:Alpha": 60.0,
        "exchange.inflow_btc:Beta": 0.0,
        "exchange.outflow_btc:Beta": 30.0,
        "exchange.netflow_btc:Beta": -50.0,
    }


def test_scores_and_qualities() -> None:
    found = by_name(ExchangeProcessor(half_btc=40).process(BLOCK, None))
    assert found["exchange.inflow_btc"].score == 0.5
    assert found["exchange.netflow_btc"].score == pytest.approx(1 / 7)
    assert found["exchange.netflow_btc:Beta"].score == -1.0
    assert found["exchange.netflow_btc:Beta"].quality == 0.5
    # 60 BTC of Alpha at 0.9 and 50 of Beta at 0.5.
    assert found["exchange.netflow_btc"].quality == pytest.approx((60 * 0.9 + 50 * 0.5) / 110)
    assert found["exchange.inflow_btc"].metadata == {"exchanges": 2, "internal_btc": 20.0}


def test_missing_prevouts_lower_the_quality() -> None:
    block = features(entities=[ALPHA], completeness=0.5)
    assert metric(ExchangeProcessor(), "exchange.netflow_btc:Alpha", block).quality == 0.45


def test_without_flows_there_are_the_totals() -> None:
    assert values(ExchangeProcessor().process(features(), None)) == {
        "exchange.inflow_btc": 0.0,
        "exchange.outflow_btc": 0.0,
        "exchange.netflow_btc": 0.0,
    }


def test_without_labels_there_is_nothing() -> None:
    assert ExchangeProcessor().process(features(labels="none"), None).metrics == []


def test_an_unusual_net_flow() -> None:
    past = history(11, values={"exchange.netflow_btc": [float(number) for number in range(-6, 5)]})
    found = metric(ExchangeProcessor(), "exchange.netflow_z", BLOCK, past)
    assert found.value == pytest.approx(11 / (1.4826 * 3))  # median -1, MAD 3
    assert found.score == pytest.approx(found.value / 5)
    assert "exchange.netflow_z" not in values(ExchangeProcessor(window=9).process(BLOCK, past))


def test_only_the_largest_get_signals_of_their_own() -> None:
    many = features(entities=[flow(f"E{number:03}", inflow=number) for number in range(150)])
    output = values(ExchangeProcessor(most=2).process(many, None))
    assert [name for name in output if ":" in name and "netflow" in name] == [
        "exchange.netflow_btc:E148",
        "exchange.netflow_btc:E149",
    ]
    assert output["exchange.inflow_btc"] == sum(range(150))


def test_names_that_no_key_may_hold() -> None:
    odd = features(entities=[flow("a|b", inflow=1), flow("a_b", inflow=1), flow("é" * 90, inflow=1)])
    names = [name for name in values(ExchangeProcessor().process(odd, None)) if "inflow_btc:" in name]
    assert names[0] == "exchange.inflow_btc:a_b"
    assert len(set(names)) == 3
    assert all(name.isascii() and "|" not in name and len(name) < 100 for name in names)


@pytest.mark.parametrize(
    "params", [{"half_btc": 0}, {"window": -1}, {"most": 0}, {"most": 0.5}, {"most": 2.0}, {"most": True}]
)
def test_parameters_that_can_not_be(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(params))):
        ExchangeProcessor(**params)
