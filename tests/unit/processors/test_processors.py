"""Signals of the three processors: their values by hand, on real and simulated blocks."""

import json
from pathlib import Path

import pytest

from app.chain.extract import extract
from app.model.features import BlockFeatures, Transfer
from app.model.signal import Signal
from app.processors.base import History, history_value
from app.processors.mempool import MempoolProcessor
from app.processors.miner import MinerProcessor
from app.processors.pools import pool_of
from app.processors.whale import WhaleProcessor
from app.sources.files import read_block_file

FIXTURES = Path(__file__).parents[2] / "fixtures" / "blocks"
BTC = 100_000_000


def features(**changes: object) -> BlockFeatures:
    """Features of a made-up block: 3.125 BTC subsidy, 0.625 BTC fees, half full."""
    usual: dict[str, object] = {
        "chain": "BTC-SIM",
        "height": 880_000,
        "hash": "ab" * 32,
        "time": 1_700_000_000,
        "tx_count": 7,
        "weight": 2_000_000,
        "size": 700_000,
        "total_fee_sat": 62_500_000,
        "subsidy_sat": 312_500_000,
        "coinbase_value_sat": 375_000_000,
        "feerate_percentiles": [1.0, 2.0, 20.0, 60.0, 180.0],
        "coinbase_script": b"/nobody/".hex(),
        "payout_addresses": ["sim1q"],
        "transfer_sat": 4000 * BTC,
        "large_transfers": [
            Transfer("cc" * 32, 1000 * BTC),
            Transfer("dd" * 32, 600 * BTC),
            Transfer("ee" * 32, 100 * BTC),
        ],
        "coin_days_destroyed": 100_000.0,
    }
    return BlockFeatures(**(usual | changes))  # type: ignore[arg-type]


def by_name(signals: list[Signal]) -> dict[str, Signal]:
    return {signal.name: signal for signal in signals}


def values(signals: list[Signal]) -> dict[str, float | None]:
    return {signal.name: signal.value for signal in signals}


def pool_and_basis(signals: list[Signal]) -> tuple[str, str]:
    found = json.loads(by_name(signals)["miner.pool"].metadata_text() or "{}")
    return found["pool"], found["basis"]


def test_mempool_without_a_window() -> None:
    signals = MempoolProcessor().process(features(), None)
    assert values(signals) == {
        "mempool.feerate_p10": 1.0,
        "mempool.feerate_p25": 2.0,
        "mempool.feerate_p50": 20.0,
        "mempool.feerate_p75": 60.0,
        "mempool.feerate_p90": 180.0,
        "mempool.fullness": 0.5,
    }
    assert [s.score for s in signals] == [1 / 21, 2 / 22, 0.5, 0.75, 0.9, 0.5]


def test_fee_pressure_is_the_robust_z_of_the_log_fee() -> None:
    block = features()
    usual = history_value(block)
    history = History([usual - 0.1 * number for number in range(1, 12)])  # median 0.6 below, MAD 0.3
    pressure = by_name(MempoolProcessor().process(block, history))["mempool.fee_pressure"]
    assert pressure.value == pytest.approx(0.6 / (1.4826 * 0.3))
    assert pressure.score == pytest.approx(0.6 / (1.4826 * 0.3) / 5)
    assert pressure.metadata_text() == '{"total_fee_sat":62500000,"window":11}'


def test_fee_pressure_scores_stay_within_one() -> None:
    history = History([1.0 + 0.001 * number for number in range(20)])
    pressure = by_name(MempoolProcessor().process(features(), history))["mempool.fee_pressure"]
    assert pressure.score == 1.0
    assert pressure.value is not None
    assert pressure.value > 5


def test_a_short_window_gives_no_fee_pressure() -> None:
    assert "mempool.fee_pressure" not in values(MempoolProcessor().process(features(), History([1.0] * 9)))


def test_an_empty_block_has_no_feerates() -> None:
    signals = MempoolProcessor().process(features(feerate_percentiles=[], total_fee_sat=0), None)
    assert list(values(signals)) == ["mempool.fullness"]


def test_unknown_fees_lower_the_confidence() -> None:
    signals = by_name(MempoolProcessor().process(features(fee_completeness=0.25), None))
    assert signals["mempool.feerate_p50"].confidence == 0.25
    assert signals["mempool.fullness"].confidence == 1.0


def test_miner_earnings() -> None:
    signals = MinerProcessor().process(features(), None)
    assert values(signals) == {
        "miner.pool": 0.0,
        "miner.fee_share": 62_500_000 / 375_000_000,
        "miner.revenue_btc": 3.75,
    }
    assert by_name(signals)["miner.revenue_btc"].score == 1.0
    assert pool_and_basis(signals) == ("unknown", "none")


def test_a_block_that_earns_nothing() -> None:
    nothing = features(subsidy_sat=0, total_fee_sat=0, coinbase_value_sat=0)
    assert list(values(MinerProcessor().process(nothing, None))) == ["miner.pool"]


@pytest.mark.parametrize(
    ("addresses", "script", "expected"),
    [
        pytest.param(["1KFHE7w8BhaENAswwryaoccDb6qcT6DbYY"], b"", ("F2Pool", "address"), id="address"),
        pytest.param(["x"], b"\x03abc/ViaBTC/Mined by me/", ("ViaBTC", "tag"), id="tag"),
        pytest.param(
            ["15MdAHnkxt9TMC2Rj595hsg8Hnv693pPBB"], b"/ViaBTC/", ("MARA Pool", "address"), id="both"
        ),
        pytest.param(["x", "15MdAHnkxt9TMC2Rj595hsg8Hnv693pPBB"], b"", ("MARA Pool", "address"), id="second"),
        pytest.param(["x"], "七彩神仙鱼".encode(), ("F2Pool", "tag"), id="not ascii"),
        # From the coinbases of the blocks 255018, 478558 and 866342.
        pytest.param(
            [], bytes.fromhex("124d696e656420627920425443204775696c64"), ("BTC Guild", "tag"), id="255018"
        ),
        pytest.param(
            ["3NA8hsjfdgVkmmVS9moHmkZsVCoLxUkvvv"], b"Y/BTC.COM/NYA/", ("BTC.com", "address"), id="478558"
        ),
        pytest.param([], b"g| MARA Made in USA ", ("MARA Pool", "tag"), id="866342"),
        pytest.param([], b"", ("unknown", "none"), id="nothing"),
    ],
)
def test_pools(addresses: list[str], script: bytes, expected: tuple[str, str]) -> None:
    assert pool_of(addresses, script.hex()) == expected


@pytest.mark.parametrize(
    ("height", "expected"), [(150013, ("unknown", "none")), (757739, ("F2Pool", "address"))]
)
def test_pools_of_real_blocks(height: int, expected: tuple[str, str]) -> None:
    block = extract(read_block_file(FIXTURES / f"{height}.json.zst"), chain="BTC", isolated=True)
    assert pool_and_basis(MinerProcessor().process(block, None)) == expected


def test_whale_tiers_count_from_their_bound_on() -> None:
    signals = WhaleProcessor().process(features(), None)
    assert values(signals) == {
        "whale.transfer_btc": 4000.0,
        "whale.largest_btc": 1000.0,
        "whale.coin_days_destroyed": 100_000.0,
        "whale.count:100btc": 3.0,
        "whale.sum_btc:100btc": 1700.0,
        "whale.count:500btc": 2.0,
        "whale.sum_btc:500btc": 1600.0,
        "whale.count:1000btc": 1.0,
        "whale.sum_btc:1000btc": 1000.0,
    }
    assert by_name(signals)["whale.sum_btc:500btc"].score == 0.4
    assert by_name(signals)["whale.largest_btc"].metadata_text() == '{"txid":"' + "cc" * 32 + '"}'


def test_a_block_without_whales() -> None:
    signals = WhaleProcessor().process(features(transfer_sat=0, large_transfers=[], completeness=0.5), None)
    assert set(values(signals).values()) == {0.0, 100_000.0}
    assert by_name(signals)["whale.largest_btc"].metadata_text() is None
    assert {signal.confidence for signal in signals} == {0.5}
