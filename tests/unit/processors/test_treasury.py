"""Balance changes of treasuries, and old coins."""

from typing import Any

import pytest

from app.processors.treasury import TreasuryProcessor
from tests.support.features import BTC, by_name, features, flow, values

FUND = flow("Fund", "treasury", 0.8, received=10, spent=60, outflow=50, old_spent=40)
STATE = flow("State", "treasury", received=1000, inflow=1000)
BLOCK = features(entities=[FUND, STATE, flow("Binance", received=5, old_spent=5)], old_spent_sat=45 * BTC)


def test_balances_and_old_coins() -> None:
    output = TreasuryProcessor().process(BLOCK, None)
    assert values(output) == {
        "treasury.old_spend_btc": 45.0,
        "treasury.balance_change_btc:Fund": -50.0,
        "treasury.old_spend_btc:Fund": 40.0,
        "treasury.balance_change_btc:State": 1000.0,
    }
    found = by_name(output)
    assert found["treasury.balance_change_btc:State"].score == 0.5
    assert found["treasury.balance_change_btc:Fund"].score == pytest.approx(-50 / 1050)
    assert found["treasury.balance_change_btc:Fund"].metadata == {"received_btc": 10.0, "spent_btc": 60.0}


def test_unknown_ages_lower_the_quality_of_old_coins() -> None:
    block = features(entities=[FUND], age_completeness=0.5, completeness=0.75)
    found = by_name(TreasuryProcessor().process(block, None))
    assert found["treasury.old_spend_btc"].quality == 0.5
    assert found["treasury.old_spend_btc:Fund"].quality == 0.4
    assert found["treasury.balance_change_btc:Fund"].quality == pytest.approx(0.6)


def test_a_block_without_treasuries() -> None:
    assert values(TreasuryProcessor().process(features(labels="none"), None)) == {
        "treasury.old_spend_btc": 0.0
    }


def test_parameters_that_can_not_be() -> None:
    with pytest.raises(ValueError, match="half_btc is 'much'"):
        TreasuryProcessor(half_btc="much")  # type: ignore[arg-type]


@pytest.mark.parametrize("most", [0, 0.5, 2.0, True, float("inf")])
def test_owners_come_in_whole_numbers(most: Any) -> None:
    with pytest.raises(ValueError, match=f"most is {most}: give a whole number above 0"):
        TreasuryProcessor(most=most)
