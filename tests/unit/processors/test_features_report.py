"""What `sigstream features FILE` prints."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.config import Settings
from app.errors import ContractError
from app.features_report import report

FIXTURES = Path(__file__).parents[2] / "fixtures" / "blocks"
SETTINGS = Settings(_env_file=None)


def test_the_report_of_a_real_block() -> None:
    found = report(SETTINGS, FIXTURES / "757739.json.zst")
    assert (found["height"], found["tx_count"], found["pool"]) == (757739, 63, "F2Pool")
    assert (found["total_fee_sat"], found["subsidy_sat"], found["weight"]) == (107_042, 625_000_000, 48_460)
    assert found["ts"] == "2022-10-08T17:25:55.757739Z"
    signals = found["signals"]
    assert isinstance(signals, list)
    assert {"name", "value", "score", "confidence", "metadata"} == set(signals[0])
    assert "mempool.fee_pressure" not in {signal["name"] for signal in signals}
    assert json.loads(json.dumps(found)) == found


def test_the_settings_that_are_given_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not those of the process."""
    monkeypatch.setenv("SIGSTREAM_PROCESSORS", "whale")
    labels = tmp_path / "labels.csv"
    labels.write_text("address,entity,type\n1111111111111111111114oLvT2,Nobody,exchange\n")
    given = SETTINGS.model_copy(update={"processors": ("mempool",), "labels": (labels,)})
    found: Any = report(given, FIXTURES / "150013.json.zst")
    assert {signal["name"].partition(".")[0] for signal in found["signals"]} == {"mempool"}
    assert found["labels"] != report(SETTINGS, FIXTURES / "150013.json.zst")["labels"]


def test_a_file_that_is_no_block(tmp_path: Path) -> None:
    file = tmp_path / "block.json"
    file.write_text('{"height": "high"}')
    with pytest.raises(ContractError, match="block:"):
        report(SETTINGS, file)
