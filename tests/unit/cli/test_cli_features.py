"""`sigstream features`: a real block's figures, without any server."""

from pathlib import Path

import pytest

from tests.support.cli import Cli

BLOCKS = Path(__file__).parents[2] / "fixtures" / "blocks"


def test_tables_for_people(cli: Cli) -> None:
    result = cli("features", BLOCKS / "150013.json.zst")
    assert result.exit_code == 0
    for text in ("150,013", "2,455,419", "5,000,000,000", "mempool.fullness", "whale.coin_days_destroyed"):
        assert text in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("name", "height", "fee_sat"), [("150013", 150013, 2_455_419), ("757739", 757739, None)]
)
def test_json_for_programs(cli: Cli, name: str, height: int, fee_sat: int | None) -> None:
    found = cli.json("features", BLOCKS / f"{name}.json.zst")
    assert isinstance(found, dict)
    assert found["height"] == height
    assert fee_sat in (None, found["total_fee_sat"])
    assert len({signal["name"] for signal in found["signals"]}) == len(found["signals"]) > 10


def test_a_file_that_is_no_block_is_named_by_what_is_missing(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "not-a-block.json"
    file.write_text(f'{{"hash": "{"0" * 64}"}}')
    result = cli("features", file)
    assert result.exit_code == 1
    assert f"{file}: block: Object missing required field `height`" in result.stderr
