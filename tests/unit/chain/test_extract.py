"""Features against an oracle that is written from the definitions: decimals, one plain loop a figure."""

import json
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chain.extract import extract, feerate_percentiles, subsidy_sat
from app.model.features import BlockFeatures
from app.sources.files import read_block_file
from app.sources.simulator import CHAIN, simulate

FIXTURES = Path(__file__).parents[2] / "fixtures" / "blocks"
COIN = Decimal(100_000_000)

Json = dict[str, Any]


def real(height: int) -> bytes:
    return read_block_file(FIXTURES / f"{height}.json.zst")


SIMULATED = list(islice(simulate(3, seed=11, start_height=880_000), 3))
BLOCKS = [
    pytest.param(real(150013), id="150013"),
    pytest.param(real(757739), id="757739"),
    *(pytest.param(value, id=f"simulated-{number}") for number, value in enumerate(SIMULATED)),
]


def exact(value: bytes) -> Json:
    block: Json = json.loads(value, parse_float=Decimal, parse_int=Decimal)
    return block


def sat(amount: Decimal) -> int:
    in_sat = amount * COIN
    assert in_sat == int(in_sat), "an amount with more than eight decimals"
    return int(in_sat)


def paid_to_others(tx: Json) -> int:
    owners = [txin["prevout"]["scriptPubKey"].get("address") for txin in tx["vin"]]
    total = 0
    for output in tx["vout"]:
        address = output["scriptPubKey"].get("address")
        if address is None or address not in owners:
            total += sat(output["value"])
    return total


def percentile_by_core(block: Json, share: int) -> int:
    """Fee rates rounded down, in order, until the weight passed is `share` % of all; as getblockstats."""
    scores = sorted((sat(tx["fee"]) * 4 // int(tx["weight"]), int(tx["weight"])) for tx in block["tx"][1:])
    threshold = sum(weight for _, weight in scores) * Decimal(share) / 100
    passed = 0
    for rate, weight in scores:
        passed += weight
        if passed >= threshold:
            return rate
    raise AssertionError("no fee rate")


@pytest.mark.parametrize("value", BLOCKS)
def test_sums_are_those_of_exact_arithmetic(value: bytes) -> None:
    block, found = exact(value), extract(value, chain=CHAIN, isolated=False)
    others = block["tx"][1:]
    fees = sum(sat(tx["fee"]) for tx in others)
    coinbase = sum(sat(output["value"]) for output in block["tx"][0]["vout"])
    assert found.total_fee_sat == fees
    assert found.coinbase_value_sat == coinbase == fees + found.subsidy_sat
    assert found.transfer_sat == sum(paid_to_others(tx) for tx in others)
    assert found.tx_count == len(block["tx"])
    assert (found.height, found.weight, found.size) == (block["height"], block["weight"], block["size"])
    assert (found.completeness, found.fee_completeness) == (1.0, 1.0)


@pytest.mark.parametrize("value", BLOCKS)
def test_large_transfers_are_all_of_at_least_100_btc(value: bytes) -> None:
    others = exact(value)["tx"][1:]
    expected = {tx["txid"]: paid_to_others(tx) for tx in others if paid_to_others(tx) >= 100 * COIN}
    found = extract(value, chain=CHAIN, isolated=False).large_transfers
    assert {large.txid: large.value_sat for large in found} == expected
    assert [large.value_sat for large in found] == sorted(expected.values(), reverse=True)


@pytest.mark.parametrize("value", BLOCKS)
def test_coin_days_are_value_times_age(value: bytes) -> None:
    block = exact(value)
    days = Decimal(0)
    for tx in block["tx"][1:]:
        for txin in tx["vin"]:
            days += txin["prevout"]["value"] * (block["height"] - txin["prevout"]["height"]) / 144
    found = extract(value, chain=CHAIN, isolated=False)
    assert found.coin_days_destroyed == pytest.approx(float(days), rel=1e-12)


@pytest.mark.parametrize("value", BLOCKS)
def test_percentiles_rounded_down_are_bitcoin_cores(value: bytes) -> None:
    block = exact(value)
    found = extract(value, chain=CHAIN, isolated=False).feerate_percentiles
    assert [int(rate) for rate in found] == [percentile_by_core(block, s) for s in (10, 25, 50, 75, 90)]


def test_figures_of_block_757739() -> None:
    found = extract(real(757739), chain="BTC", isolated=True)
    assert (found.total_fee_sat, found.subsidy_sat) == (107_042, 625_000_000)
    assert found.payout_addresses == ["1KFHE7w8BhaENAswwryaoccDb6qcT6DbYY"]
    assert found.large_transfers == []
    assert found.isolated


@pytest.mark.parametrize(
    ("fees", "weights", "expected"),
    [
        pytest.param([], [], [], id="no fees"),
        pytest.param([250], [1000], [1.0] * 5, id="one"),
        pytest.param([0, 0], [400, 800], [0.0] * 5, id="free"),
        # A tenth of 105 is 10.5, which a weight of 10 does not reach.
        pytest.param([10, 95], [10, 95], [4.0] * 5, id="equal"),
        pytest.param([10, 190], [10, 95], [8.0] * 5, id="just below"),
        # A tenth of the weight is reached exactly by the first, a quarter only by the second.
        pytest.param(
            [100, 400, 4000], [400, 600, 3000], [1.0, 400 * 4 / 600, *[4000 * 4 / 3000] * 3], id="at"
        ),
        pytest.param(
            [4000, 400, 100], [3000, 600, 400], [1.0, 400 * 4 / 600, *[4000 * 4 / 3000] * 3], id="any"
        ),
    ],
)
def test_percentiles_by_weight(fees: list[int], weights: list[int], expected: list[float]) -> None:
    assert feerate_percentiles(fees, weights) == expected


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(1, 400_000)), min_size=1, max_size=60))
def test_percentiles_are_cores_for_any_block(txs: list[tuple[int, int]]) -> None:
    found = feerate_percentiles([fee for fee, _ in txs], [weight for _, weight in txs])
    block: Json = {"tx": [{}, *({"fee": Decimal(fee) / COIN, "weight": weight} for fee, weight in txs)]}
    assert [int(rate) for rate in found] == [percentile_by_core(block, s) for s in (10, 25, 50, 75, 90)]


@pytest.mark.parametrize(
    ("height", "expected"),
    [
        (0, 50 * 10**8),
        (209_999, 50 * 10**8),
        (210_000, 25 * 10**8),
        (840_000, 312_500_000),
        (32 * 210_000, 1),
        (33 * 210_000, 0),
        (64 * 210_000, 0),
        (2**31 - 1, 0),
    ],
)
def test_the_subsidy_halves(height: int, expected: int) -> None:
    assert subsidy_sat(height) == expected


def test_all_subsidies_are_just_under_21_million() -> None:
    assert sum(subsidy_sat(era * 210_000) * 210_000 for era in range(40)) == 2_099_999_997_690_000


def without(value: bytes, *, fee: bool = False, prevout: bool = False) -> BlockFeatures:
    """Features of the block with fee or prevouts of its second transaction taken out."""
    block = json.loads(value)
    if fee:
        del block["tx"][1]["fee"]
    if prevout:
        for txin in block["tx"][1]["vin"]:
            del txin["prevout"]
    return extract(json.dumps(block).encode(), chain=CHAIN, isolated=False)


def test_a_missing_fee_is_inputs_minus_outputs() -> None:
    assert without(SIMULATED[0], fee=True) == extract(SIMULATED[0], chain=CHAIN, isolated=False)


def test_a_missing_prevout_lowers_completeness_and_leaves_out_its_transaction() -> None:
    block, whole = exact(SIMULATED[0]), extract(SIMULATED[0], chain=CHAIN, isolated=False)
    inputs = sum(len(tx["vin"]) for tx in block["tx"][1:])
    found = without(SIMULATED[0], prevout=True)
    assert found.completeness == (inputs - len(block["tx"][1]["vin"])) / inputs
    assert found.fee_completeness == 1.0
    assert found.total_fee_sat == whole.total_fee_sat
    assert found.transfer_sat == whole.transfer_sat - paid_to_others(block["tx"][1])


def test_without_prevout_and_fee_the_fee_is_not_known() -> None:
    block, whole = exact(SIMULATED[0]), extract(SIMULATED[0], chain=CHAIN, isolated=False)
    found = without(SIMULATED[0], fee=True, prevout=True)
    assert found.fee_completeness == (len(block["tx"]) - 2) / (len(block["tx"]) - 1)
    assert found.total_fee_sat == whole.total_fee_sat - sat(block["tx"][1]["fee"])


def test_a_block_with_nothing_but_its_coinbase() -> None:
    block = json.loads(SIMULATED[0])
    del block["tx"][1:], block["nTx"]
    block["tx"][0]["vout"][0]["value"] = 3.125
    found = extract(json.dumps(block).encode(), chain=CHAIN, isolated=False)
    assert (found.tx_count, found.total_fee_sat, found.transfer_sat, found.coin_days_destroyed) == (
        1,
        0,
        0,
        0,
    )
    assert found.feerate_percentiles == []
    assert (found.completeness, found.fee_completeness) == (1.0, 1.0)
