"""Rows of a Parquet file as features, and what is refused of them."""

from pathlib import Path
from typing import Any

import pyarrow
import pytest

from app.backtest.stats import REQUIRED, read_stats
from app.errors import ConfigurationError, ContractError
from tests.support.fee_market import market
from tests.support.stats_file import columns_of, write_stats

BLOCKS = market(5)


@pytest.fixture
def columns() -> dict[str, Any]:
    return columns_of(BLOCKS)


def test_rows_are_features_in_order_of_height(tmp_path: Path, columns: dict[str, Any]) -> None:
    mixed = {name: values[::-1] for name, values in columns.items()}
    found = read_stats(write_stats(tmp_path / "s.parquet", mixed), chain="BTC")
    assert [f.height for f in found] == [block.height for block in BLOCKS]
    for features, block in zip(found, BLOCKS, strict=True):
        assert features.feerate_percentiles == [int(rate) for rate in block.feerate_percentiles]
        assert (features.time, features.tx_count) == (block.time, block.tx_count)
        assert (features.weight, features.size) == (block.weight, block.size)
        assert (features.hash, features.total_fee_sat) == (block.hash, block.total_fee_sat)
        assert features.coinbase_value_sat == block.subsidy_sat + block.total_fee_sat
        assert (features.chain, features.isolated, features.completeness) == ("BTC", False, 1.0)


def test_what_is_not_required_may_be_missing(tmp_path: Path, columns: dict[str, Any]) -> None:
    few = {name: columns[name] for name in REQUIRED}
    found = read_stats(write_stats(tmp_path / "s.parquet", few), chain="BTC")
    assert [f.total_fee_sat for f in found] == [0] * 5
    assert found[0].subsidy_sat == 312_500_000
    assert found[0].hash == f"{BLOCKS[0].height:064x}"


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_time_may_be_a_timestamp(tmp_path: Path, columns: dict[str, Any], unit: str) -> None:
    a_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    times = [t * a_second for t in columns["time"]]
    columns["time"] = pyarrow.array(times, pyarrow.int64()).cast(pyarrow.timestamp(unit))
    found = read_stats(write_stats(tmp_path / "s.parquet", columns), chain="BTC")
    assert [f.time for f in found] == [block.time for block in BLOCKS]


def test_seconds_in_a_column_of_microseconds_are_recognised(tmp_path: Path, columns: dict[str, Any]) -> None:
    times = [t * 10**6 for t in columns["time"][:3]] + columns["time"][3:]
    columns["time"] = pyarrow.array(times, pyarrow.int64()).cast(pyarrow.timestamp("us"))
    found = read_stats(write_stats(tmp_path / "s.parquet", columns), chain="BTC")
    assert [f.time for f in found] == [block.time for block in BLOCKS]


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_column_is_named(tmp_path: Path, columns: dict[str, Any], name: str) -> None:
    del columns[name]
    with pytest.raises(ConfigurationError, match=f"has no column {name}:"):
        read_stats(write_stats(tmp_path / "s.parquet", columns), chain="BTC")


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("feerate_percentiles", None, "row 2 has no feerate_percentiles"),
        ("feerate_percentiles", [1, 2, 3], r"height 900002\) has feerate_percentiles \[1, 2, 3\]"),
        ("feerate_percentiles", [1, 2, 3, 4, -5], "feerate_percentiles"),
        ("height", 900_001, "height 900001 is there twice"),
        ("height", -1, "row 2 has height -1"),
        ("txs", None, "row 2 has no txs"),
        ("time", -5, "row 2 has a time -5 s"),
    ],
)
def test_a_row_that_no_block_has_is_refused(
    tmp_path: Path, columns: dict[str, Any], name: str, value: object, what: str
) -> None:
    columns[name][2] = value
    with pytest.raises(ContractError, match=what):
        read_stats(write_stats(tmp_path / "s.parquet", columns), chain="BTC")


def test_a_column_of_another_kind_is_refused(tmp_path: Path, columns: dict[str, Any]) -> None:
    columns["time"] = ["yesterday"] * 5
    with pytest.raises(ConfigurationError, match="column time is string"):
        read_stats(write_stats(tmp_path / "s.parquet", columns), chain="BTC")


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.parquet can't be read"):
        read_stats(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("height,time\n1,2\n")
    with pytest.raises(ConfigurationError, match=r"text\.parquet is no whole Parquet file"):
        read_stats(tmp_path / "text.parquet")
    (tmp_path / "empty.parquet").touch()
    with pytest.raises(ConfigurationError, match=r"empty\.parquet is no whole Parquet file"):
        read_stats(tmp_path / "empty.parquet")
