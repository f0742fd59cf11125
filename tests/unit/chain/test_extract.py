"""Features against an oracle that is written from the definitions: decimals, one plain loop a figure."""

import json
import os
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chain.extract import extract, feerate_percentiles, subsidy_sat
from app.labels.registry import builtin_labels
from app.model.features import FEATURES_DECODER, BlockFeatures, Shape, ShapeSum
from app.sources.files import read_block_file
from app.sources.simulator import CHAIN, simulate
from tests.support import getblockstats as core

FIXTURES = Path(__file__).parents[2] / "fixtures" / "blocks"
COIN = core.COIN

Json = dict[str, Any]
exact, sat = core.exact, core.sat


def real(height: int) -> bytes:
    return read_block_file(FIXTURES / f"{height}.json.zst")


SIMULATED = list(islice(simulate(3, seed=11, start_height=880_000), 3))
FOLDERS = [FIXTURES, *(Path(folder) for folder in (os.environ.get("SIGSTREAM_BLOCKS_DIR"),) if folder)]
"""SIGSTREAM_BLOCKS_DIR adds a folder of real blocks, `<height>.json.zst`."""
REAL = {file.name.split(".")[0]: file for folder in FOLDERS for file in sorted(folder.glob("*.json*"))}
BLOCKS = [
    *(pytest.param(read_block_file(file), id=name) for name, file in REAL.items()),
    *(pytest.param(value, id=f"simulated-{number}") for number, value in enumerate(SIMULATED)),
]
POOLS = {
    "150013": ("unknown", "none"),
    "255018": ("BTC Guild", "tag"),
    "478558": ("BTC.com", "address"),
    "757739": ("F2Pool", "address"),
    "866342": ("MARA Pool", "address"),
}
"""Who found the real blocks: 150013's coinbase says nothing."""


def paid_to_others(tx: Json) -> int:
    owners = [txin["prevout"]["scriptPubKey"].get("address") for txin in tx["vin"]]
    total = 0
    for output in tx["vout"]:
        address = output["scriptPubKey"].get("address")
        if address is None or address not in owners:
            total += sat(output["value"])
    return total


@pytest.mark.parametrize("value", BLOCKS)
def test_figures_are_those_of_getblockstats(value: bytes) -> None:
    stats, found = core.getblockstats(exact(value)), extract(value, chain=CHAIN, isolated=False)
    assert found.tx_count == stats["txs"]
    assert found.input_count == stats["ins"]
    assert found.output_count == stats["outs"]
    assert found.total_fee_sat == stats["totalfee"]
    assert found.total_weight == stats["total_weight"]
    assert found.subsidy_sat == stats["subsidy"]
    assert [int(rate) for rate in found.feerate_percentiles] == stats["feerate_percentiles"]
    assert (found.completeness, found.fee_completeness, found.age_completeness) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("value", BLOCKS)
def test_features_survive_the_wire(value: bytes) -> None:
    found = extract(value, chain=CHAIN, isolated=False, labels=builtin_labels())
    assert FEATURES_DECODER.decode(msgspec.json.encode(found)) == found


@pytest.mark.parametrize("value", BLOCKS)
def test_a_coinbase_claims_what_it_may(value: bytes) -> None:
    block, found = exact(value), extract(value, chain=CHAIN, isolated=False)
    assert found.coinbase_value_sat == core.paid_sat(block["tx"][0])
    assert found.coinbase_value_sat <= found.subsidy_sat + found.total_fee_sat
    assert (found.height, found.weight, found.size) == (block["height"], block["weight"], block["size"])


@pytest.mark.parametrize("value", BLOCKS)
def test_every_transaction_has_one_shape(value: bytes) -> None:
    others, found = exact(value)["tx"][1:], extract(value, chain=CHAIN, isolated=False)
    assert sum(part.txs for part in found.shapes.values()) == len(others)
    moved = sum(part.value_sat for shape, part in found.shapes.items() if shape is not Shape.SELF_TRANSFER)
    assert moved == sum(paid_to_others(tx) for tx in others)
    among_own = [core.paid_sat(tx) for tx in others if not paid_to_others(tx)]
    own = found.shapes.get(Shape.SELF_TRANSFER, ShapeSum())
    assert (own.txs, own.value_sat) == (len(among_own), sum(among_own))


@pytest.mark.parametrize("value", BLOCKS)
def test_the_histogram_holds_every_transfer(value: bytes) -> None:
    found = extract(value, chain=CHAIN, isolated=False)
    part = found.shapes[Shape.TRANSFER]
    assert (sum(found.transfers.counts), sum(found.transfers.sums_sat)) == (part.txs, part.value_sat)
    assert found.transfer_sat == part.value_sat


@pytest.mark.parametrize("value", BLOCKS)
def test_large_transfers_are_all_of_at_least_10_btc(value: bytes) -> None:
    moved = {tx["txid"]: paid_to_others(tx) or core.paid_sat(tx) for tx in exact(value)["tx"][1:]}
    expected = {txid: value for txid, value in moved.items() if value >= 10 * COIN}
    found = extract(value, chain=CHAIN, isolated=False).large_transfers
    assert {large.txid: large.value_sat for large in found} == expected
    assert [large.value_sat for large in found] == sorted(expected.values(), reverse=True)


@pytest.mark.parametrize("value", BLOCKS)
def test_coin_days_are_value_times_age(value: bytes) -> None:
    block = exact(value)
    days, spent, old = Decimal(0), 0, 0
    for tx in block["tx"][1:]:
        for txin in tx["vin"]:
            age = block["height"] - txin["prevout"]["height"]
            days += txin["prevout"]["value"] * age / 144
            spent += sat(txin["prevout"]["value"])
            old += sat(txin["prevout"]["value"]) if age > 365 * 144 else 0
    found = extract(value, chain=CHAIN, isolated=False)
    assert found.coin_days_destroyed == pytest.approx(float(days), rel=1e-12)
    assert (found.aged_sat, found.old_spent_sat) == (spent, old)


@pytest.mark.parametrize("height", [height for height in POOLS if height in REAL])
def test_pools_of_real_blocks(height: str) -> None:
    found = extract(read_block_file(REAL[height]), chain="BTC", isolated=True, labels=builtin_labels())
    assert (found.pool.name, found.pool.basis) == POOLS[height]
    assert found.labels == builtin_labels().version


def test_figures_of_block_757739() -> None:
    found = extract(real(757739), chain="BTC", isolated=True)
    assert (found.total_fee_sat, found.subsidy_sat) == (107_042, 625_000_000)
    assert found.payout_addresses == ["1KFHE7w8BhaENAswwryaoccDb6qcT6DbYY"]
    assert [large.value_sat for large in found.large_transfers] == [1_825_850_862]
    assert found.isolated
    assert (found.labels, found.pool.name) == ("none", "unknown")


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
def test_percentiles_rounded_down_are_bitcoin_cores_for_any_block(txs: list[tuple[int, int]]) -> None:
    fees, weights = [fee for fee, _ in txs], [weight for _, weight in txs]
    found = feerate_percentiles(fees, weights)
    assert [int(rate) for rate in found] == core.percentiles(fees, weights)


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
