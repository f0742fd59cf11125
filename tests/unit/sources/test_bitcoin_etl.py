"""Exports of Bitcoin ETL: the same blocks as from Bitcoin Core, but for what an export lacks."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import ConfigurationError, ContractError
from app.sources.bitcoin_etl import read_export, weight_of
from app.sources.simulator import simulate
from app.sources.trim import record_of
from tests.support.etl_export import write_export
from tests.support.real_blocks import REAL_BLOCKS, features

SIMULATED = list(simulate(4, seed=6, start_height=800_000))

SAME = (
    *("chain", "height", "hash", "time", "weight", "size", "tx_count", "subsidy_sat", "total_fee_sat"),
    *("coinbase_value_sat", "coinbase_script", "payout_addresses", "transfer_sat", "large_transfers"),
    *("completeness", "fee_completeness", "feerate_percentiles"),
)


def converted(blocks: Path, transactions: Path, after: int = -1) -> list[dict[str, Any]]:
    """Features of the export's blocks."""
    found = read_export(blocks, transactions, after=after)
    return [features(record_of(block, "BTC").value) for block in found]


def test_real_and_simulated_blocks_have_the_same_features(tmp_path: Path) -> None:
    blocks = [*REAL_BLOCKS, *SIMULATED]
    found = converted(*write_export(tmp_path, blocks))
    expected = [features(value) for value in blocks]
    for name in SAME:
        assert [each.get(name) for each in found] == [each.get(name) for each in expected], name


def test_coins_have_no_age(tmp_path: Path) -> None:
    (found,) = converted(*write_export(tmp_path, REAL_BLOCKS[:1]))
    assert found["age_completeness"] == 0
    assert found["coin_days_destroyed"] == 0


def test_the_line_before_tells_the_previous_hash(tmp_path: Path) -> None:
    found = converted(*write_export(tmp_path, SIMULATED))
    assert "previousblockhash" not in found[0]
    assert [each["previousblockhash"] for each in found[1:]] == [each["hash"] for each in found[:-1]]


def test_blocks_up_to_a_height_are_left_out(tmp_path: Path) -> None:
    found = converted(*write_export(tmp_path, SIMULATED), after=800_001)
    assert [each["height"] for each in found] == [800_002, 800_003]
    assert found[0]["previousblockhash"] == orjson.loads(SIMULATED[1])["hash"]


def test_an_export_that_was_not_enriched_has_neither_inputs_nor_fees(tmp_path: Path) -> None:
    (found,) = converted(*write_export(tmp_path, REAL_BLOCKS[:1], enriched=False))
    assert (found["completeness"], found["fee_completeness"], found["total_fee_sat"]) == (0, 0, 0)


def test_transactions_that_are_not_together_are_told(tmp_path: Path) -> None:
    blocks, transactions = write_export(tmp_path, SIMULATED)
    lines = transactions.read_bytes().splitlines(keepends=True)
    transactions.write_bytes(b"".join([*lines[1:], lines[0]]))
    with pytest.raises(ContractError, match=r"block 800000 has \d+ transactions, .*sort both files"):
        list(read_export(blocks, transactions))


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    blocks, transactions = write_export(tmp_path, SIMULATED)
    lines = transactions.read_bytes().splitlines(keepends=True)
    transactions.write_bytes(b"".join([lines[0], b'{"hash": 3}\n', *lines[1:]]))
    with pytest.raises(ContractError, match=r"transactions.json line 2: transaction: .*found 3"):
        list(read_export(blocks, transactions))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    blocks, _ = write_export(tmp_path, SIMULATED)
    with pytest.raises(ConfigurationError, match=r"missing.json can't be read: No such file"):
        list(read_export(blocks, tmp_path / "missing.json"))


@given(st.integers(60, 100_000), st.integers(0, 300_000))
def test_a_weight_is_exact_or_three_too_low(stripped: int, witness: int) -> None:
    witness = 0 if witness < 2 else witness  # marker and flag: a witness has two bytes or more
    weight = 4 * stripped + witness
    assert weight - weight_of(stripped + witness, -(-weight // 4)) in ((0, 3) if witness else (0,))
