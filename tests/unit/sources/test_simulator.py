"""The simulated chain: the same from the same seed, linked, and with sums that hold."""

import json
from itertools import pairwise
from statistics import pstdev

import pytest

from app.chain.extract import extract
from app.labels.registry import builtin_labels
from app.model.block import BLOCK_DECODER
from app.model.features import BlockFeatures
from app.sources.files import headers_of
from app.sources.simulator import CHAIN, POOLS, simulate

START = 880_000
BLOCKS = list(simulate(120, seed=2, start_height=START))
FEATURES: list[BlockFeatures] = [
    extract(value, chain=CHAIN, isolated=False, labels=builtin_labels()) for value in BLOCKS
]


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert list(simulate(5, seed=2, start_height=START)) == BLOCKS[:5]
    assert list(simulate(5, seed=3, start_height=START)) != BLOCKS[:5]


def test_a_run_may_begin_anywhere() -> None:
    assert list(simulate(5, seed=2, start_height=START + 50)) == BLOCKS[50:55]


def test_blocks_are_linked() -> None:
    headers = [headers_of(value) for value in BLOCKS]
    assert [header.height for header in headers] == list(range(START, START + len(BLOCKS)))
    assert all(after.previousblockhash == before.hash for before, after in pairwise(headers))
    assert len({header.hash for header in headers}) == len(headers)


def test_a_chain_from_its_first_block() -> None:
    first, second = (headers_of(value) for value in simulate(2, seed=1))
    assert first.previousblockhash is None
    assert second.previousblockhash == first.hash
    assert extract(next(simulate(1, seed=1)), chain=CHAIN, isolated=False).subsidy_sat == 50 * 10**8


def test_a_fork_stands_on_the_chain_and_then_on_itself() -> None:
    first, second = (headers_of(value) for value in simulate(2, seed=2, start_height=START + 10, fork=1))
    trunk = headers_of(BLOCKS[9])
    assert first.previousblockhash == trunk.hash
    assert second.previousblockhash == first.hash
    assert first.hash != headers_of(BLOCKS[10]).hash
    assert first.height == headers_of(BLOCKS[10]).height


def test_the_coinbase_takes_subsidy_and_fees_exactly() -> None:
    for found in FEATURES:
        assert found.coinbase_value_sat == found.subsidy_sat + found.total_fee_sat
        assert (found.completeness, found.fee_completeness) == (1.0, 1.0)


@pytest.mark.parametrize("height", [0, 1, 209_999, 210_000, 5_000_000])
def test_the_sums_hold_at_every_age_of_the_chain(height: int) -> None:
    (value,) = simulate(1, seed=9, start_height=height)
    found = extract(value, chain=CHAIN, isolated=False)
    assert found.coinbase_value_sat == found.subsidy_sat + found.total_fee_sat


def test_blocks_are_light_and_full() -> None:
    assert all(50 <= found.tx_count <= 301 for found in FEATURES)
    assert all(found.weight <= 4_000_000 for found in FEATURES)
    fullness = [found.weight / 4_000_000 for found in FEATURES]
    assert pstdev(fullness) > 0.05
    assert max(fullness) > 0.9


def test_the_fee_market_moves_and_has_a_memory() -> None:
    medians = [found.feerate_percentiles[2] for found in FEATURES]
    steps = [abs(after / before - 1) for before, after in pairwise(medians)]
    assert max(medians) > 2 * min(medians)
    assert sorted(steps)[len(steps) // 2] < 0.5


def test_large_transfers_reach_every_tier() -> None:
    large = [transfer.value_sat for found in FEATURES for transfer in found.large_transfers]
    for low, high in ((100, 500), (500, 1000), (1000, 21_000_000)):
        assert any(low * 10**8 <= value < high * 10**8 for value in large)
    assert len(large) < sum(found.tx_count for found in FEATURES) / 20


def test_pools_sign_their_blocks_and_some_do_not() -> None:
    pools = {found.pool.name for found in FEATURES}
    assert {"Foundry USA", "AntPool", "F2Pool", "unknown"} <= pools
    assert len(pools) > len(POOLS) // 2


def test_some_change_goes_back_and_coins_have_ages() -> None:
    block = BLOCK_DECODER.decode(BLOCKS[0])
    paid = sum(round(o.value * 1e8) for tx in block.tx[1:] for o in tx.vout)
    assert 0 < FEATURES[0].transfer_sat < paid
    inputs = [i.prevout for tx in block.tx[1:] for i in tx.vin]
    ages = [block.height - made.height for made in inputs if made and made.height is not None]
    assert min(ages) < 50
    assert max(ages) > 1000


def test_no_address_could_be_a_real_one() -> None:
    block = json.loads(BLOCKS[0])
    scripts = [o["scriptPubKey"] for tx in block["tx"] for o in tx["vout"]]
    assert {script["address"][:5] for script in scripts if "address" in script} == {"sim1q"}
