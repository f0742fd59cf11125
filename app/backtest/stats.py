"""Rows of Bitcoin Core's `getblockstats` in a Parquet file, as features."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from app.backtest.extras import need
from app.chain.extract import PERCENTILES, subsidy_sat
from app.errors import ConfigurationError, ContractError
from app.model.block import MAX_BLOCK_WEIGHT
from app.model.features import BlockFeatures
from app.model.keys import canonical_symbol

REQUIRED = ("height", "time", "feerate_percentiles", "total_weight", "txs")
OPTIONAL = ("blockhash", "totalfee", "subsidy", "total_size")
SECONDS_UP_TO = 2**33
"""A smaller number in a column of time is seconds since 1970 (up to 2242), whatever unit the column states:
files are about that hold seconds in a column of microseconds."""


def read_stats(path: Path, *, chain: str = "BTC") -> list[BlockFeatures]:
    """Features of the file's rows, in order of height.

    Columns have the names and units of `getblockstats`; `time` may be a timestamp or seconds. What the
    features have beyond them gets neutral values: no transfers, no coinbase text, no missing prevouts.
    Raises ConfigurationError where the file can't be read or columns are missing, ContractError for a row
    that no block has.
    """
    symbol = canonical_symbol(chain)
    rows = sorted(_rows(path), key=lambda row: row["height"])
    for row, following in pairwise(rows):
        if row["height"] == following["height"]:
            raise ContractError(f"{path}: height {row['height']} is there twice: send one row a block")
    return [_features(row, symbol) for row in rows]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    table = _read(path)
    columns = {name: table.column(name).to_pylist() for name in table.column_names if name != "time"}
    columns["time"] = _seconds(path, table.column("time"))
    for index in range(table.num_rows):
        row = {name: values[index] for name, values in columns.items()}
        _check(path, index, row)
        yield row


def _read(path: Path) -> Any:
    arrow, parquet = need("pyarrow"), need("pyarrow.parquet")
    try:
        found = parquet.read_schema(path).names
        if missing := [name for name in REQUIRED if name not in found]:
            raise ConfigurationError(
                f"{path} has no column {', '.join(missing)}: write rows of `getblockstats` with at least "
                f"{', '.join(REQUIRED)}; found {', '.join(found)}"
            )
        return parquet.read_table(path, columns=[name for name in (*REQUIRED, *OPTIONAL) if name in found])
    except arrow.ArrowInvalid as error:
        raise ConfigurationError(f"{path} is no whole Parquet file ({error}): write it anew") from error
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror or error}") from error


def _seconds(path: Path, column: Any) -> list[int | None]:
    arrow = need("pyarrow")
    kind = column.type
    if not arrow.types.is_timestamp(kind) and not arrow.types.is_integer(kind):
        raise ConfigurationError(f"{path}: column time is {kind}: write seconds since 1970, or a timestamp")
    a_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[getattr(kind, "unit", "s")]
    numbers = column.cast(arrow.int64()).to_pylist()
    return [
        number if number is None or 0 <= number < SECONDS_UP_TO else number // a_second for number in numbers
    ]


def _check(path: Path, index: int, row: dict[str, Any]) -> None:
    """Raises ContractError that names row, column and content."""
    for name in REQUIRED:
        if row[name] is None:
            raise ContractError(f"{path}: row {index} has no {name}: leave the row out, or fill it in")
    for name in ("height", "total_weight", "txs"):
        if not isinstance(row[name], int) or row[name] < 0:
            raise ContractError(f"{path}: row {index} has {name} {row[name]!r}: write an integer from 0 on")
    rates = row["feerate_percentiles"]
    if not isinstance(rates, list) or len(rates) != len(PERCENTILES) or not all(map(_is_rate, rates)):
        raise ContractError(
            f"{path}: row {index} (height {row['height']}) has feerate_percentiles {rates!r}: write five "
            "numbers from 0 on, sat/vB"
        )
    if not 0 <= row["time"] < SECONDS_UP_TO:
        raise ContractError(f"{path}: row {index} has a time {row['time']} s after 1970: write header times")


def _is_rate(rate: object) -> bool:
    return isinstance(rate, int | float) and 0 <= rate < float("inf")


def _features(row: dict[str, Any], chain: str) -> BlockFeatures:
    height, fees = row["height"], row.get("totalfee") or 0
    subsidy = row.get("subsidy")
    paid = subsidy_sat(height) if subsidy is None else subsidy
    return BlockFeatures(
        chain=chain,
        height=height,
        hash=row.get("blockhash") or f"{height:064x}",
        time=row["time"],
        tx_count=row["txs"],
        # Bitcoin Core leaves the coinbase out of it: an empty block's is 0.
        weight=min(MAX_BLOCK_WEIGHT, row["total_weight"]),
        size=row.get("total_size") or 0,
        total_fee_sat=fees,
        subsidy_sat=paid,
        coinbase_value_sat=paid + fees,
        feerate_percentiles=[float(rate) for rate in row["feerate_percentiles"]],
        coinbase_script="",
        payout_addresses=[],
        transfer_sat=0,
        large_transfers=[],
        coin_days_destroyed=0.0,
    )
