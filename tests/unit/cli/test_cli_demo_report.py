"""When the demo is content, and what it says otherwise."""

import pytest

from app.cli.console import out
from app.cli.demo_report import Findings, show_findings
from app.cli.status import Status
from app.query.latency import Latency
from app.query.offsets import GroupStatus

REACHED = [Latency("signals", 102, 0.1, 0.2, 0.3, 0.4)]


def findings(
    stored: dict[str, int], lag: int = 0, owed: int = 0, reached: list[Latency] = REACHED
) -> Findings:
    """Of a pipeline with so much left to do."""
    group = GroupStatus("dedupe", "g", "Stable", 1, {"signals.raw": lag})
    return Findings(102, stored, 1926, Status([], [group], {"sqlite": owed}), reached)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (findings({"a": 7, "b": 7}), None),
        (findings({"a": 7, "b": 6}), "different numbers"),
        (findings({"a": 0, "b": 0}), "no signal was stored"),
        (findings({"a": 7, "b": 7}, lag=1), "still on their way"),
        (findings({"a": 7, "b": 7}, owed=1), "still on their way"),
    ],
)
def test_all_must_be_settled_and_equal(
    found: Findings, says: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert found.good is (says is None)
    show_findings(out(), found, 12.3)
    assert (says or "All is settled") in capsys.readouterr().out


def test_a_store_that_has_fewer_is_pointed_at(capsys: pytest.CaptureFixture[str]) -> None:
    show_findings(out(), findings({"sqlite": 1926, "timescale": 1900}), 1)
    assert "26 fewer" in capsys.readouterr().out


def test_a_second_run_says_that_there_was_nothing_new(capsys: pytest.CaptureFixture[str]) -> None:
    show_findings(out(), findings({"sqlite": 7}, reached=[]), 1)
    assert "102 blocks sent, nothing new among them" in capsys.readouterr().out
