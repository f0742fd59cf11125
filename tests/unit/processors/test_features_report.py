"""What `sigstream features FILE` prints."""

import json
from pathlib import Path

import pytest

from app.errors import ContractError
from app.features_report import report

FIXTURES = Path(__file__).parents[2] / "fixtures" / "blocks"


def test_the_report_of_a_real_block() -> None:
    found = report(FIXTURES / "757739.json.zst")
    assert (found["height"], found["tx_count"], found["pool"]) == (757739, 63, "F2Pool")
    assert (found["total_fee_sat"], found["subsidy_sat"], found["weight"]) == (107_042, 625_000_000, 48_460)
    assert found["ts"] == "2022-10-08T17:25:55.757739Z"
    signals = found["signals"]
    assert isinstance(signals, list)
    assert {"name", "value", "score", "confidence", "metadata"} == set(signals[0])
    assert "mempool.fee_pressure" not in {signal["name"] for signal in signals}
    assert json.loads(json.dumps(found)) == found


def test_a_file_that_is_no_block(tmp_path: Path) -> None:
    file = tmp_path / "block.json"
    file.write_text('{"height": "high"}')
    with pytest.raises(ContractError, match="block:"):
        report(file)
