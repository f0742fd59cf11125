"""Pictures, and what is said where a library is missing."""

import sys
from math import isnan
from pathlib import Path

import pytest

from app.backtest.evaluate import Report, evaluate
from app.backtest.extras import need
from app.backtest.plot import check_picture, in_characters, rolling_skill, save_picture
from app.backtest.replay import replay
from app.errors import ConfigurationError
from app.processors.predictive import PredictiveProcessor
from app.processors.run import Enabled
from tests.support.fee_market import block, market

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def report() -> Report:
    return evaluate("predictive", replay(Enabled(PredictiveProcessor(), 60.0), market(60)), warm_up=10)


def test_a_picture_is_the_same_on_every_run(tmp_path: Path, report: Report) -> None:
    for name in ("a.png", "b.png"):
        check_picture(tmp_path / name)
        save_picture(report, tmp_path / name)
    first = (tmp_path / "a.png").read_bytes()
    assert first.startswith(PNG)
    assert len(first) > 20_000
    assert first == (tmp_path / "b.png").read_bytes()


def test_a_picture_that_can_not_be_written(tmp_path: Path, report: Report) -> None:
    for wrong in (tmp_path / "a.txt", tmp_path / "none" / "a.png"):
        with pytest.raises(ConfigurationError, match=r"name a \.png file"):
            check_picture(wrong)
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(ConfigurationError, match="can't be written"):
        save_picture(report, tmp_path / "taken.png")


def test_a_chart_of_characters(report: Report) -> None:
    chart = in_characters(report, colors=False)
    assert "median fee rate, sat/vB" in chart
    assert "\x1b" not in chart
    assert "\x1b" in in_characters(report, colors=True)
    assert chart == in_characters(report, colors=False)


def test_skill_over_time() -> None:
    blocks = [block(n, [rate] * 5) for n, rate in enumerate((4.0, 4.0, 2.0, 6.0))]
    report = evaluate("predictive", replay(Enabled(PredictiveProcessor(), 60.0), blocks), warm_up=1)
    found = rolling_skill(report.forecasts, over=2)
    errors = [abs((f.forecasts[1] or 0.0) - f.actuals[1]) for f in report.forecasts]
    assert isnan(found[0])
    assert found[1] == pytest.approx(1 - (errors[0] + errors[1]) / 2)
    assert found[2] == pytest.approx(1 - (errors[1] + errors[2]) / 6)


def test_a_library_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ConfigurationError, match=r"pyarrow .* pip install 'sigstream\[backtest\]'"):
        need("pyarrow.parquet")
