"""How far a replay or a backfill is, where there is no terminal, and for Prometheus."""

from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from app.backfill.feeder import Sent
from app.backfill.ledger import Ledger
from app.backfill.plan import Plan
from app.backfill.run import Progress, _measure
from app.cli.backfill import Display
from app.cli.bar import LongBar, StagesBar
from app.replay.watch import Counted

PLAN = Plan(chain="BTC", first=100, last=199, begin=50, replace=False, source="core")


class Done(Ledger):
    """So much."""

    def __init__(self, blocks: int, signals: int) -> None:
        super().__init__()
        self._heights = set(range(blocks))
        self.signals = signals


def progress(height: int | None, blocks: int, signals: int, left_s: float | None = None) -> Progress:
    sent = Sent()
    sent.height = height
    return Progress(PLAN, sent, Done(blocks, signals), {}, [], left_s)


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What was said since the last call; a line is due at any time, and never broken."""
    monkeypatch.setenv("COLUMNS", "40")
    for kind in (LongBar, StagesBar):
        monkeypatch.setattr(kind, "plain_every_s", 0.0)
    return lambda: capsys.readouterr().err.splitlines()


def test_a_replay_says_how_far_it_is_and_how_long_it_takes(lines: Callable[[], list[str]]) -> None:
    now = 0.0
    with StagesBar("reading") as bar:
        bar._progress.get_time = lambda: now
        bar.begin("sqlite", 10_000)
        bar.advance(1000)
        now = 10.0
        bar.advance(1000)
        assert lines() == ["sqlite: 1000 of 10000", "sqlite: 2000 of 10000, 0:01:20 left"]
        bar.begin("timescale", 0)
        bar.advance(0)
        assert lines() == ["timescale: 0 of 0, 0:00:00 left"]


def test_a_replay_counts_what_is_left() -> None:
    watch = Counted(StagesBar("reading"), "somewhere")
    watch.begin("somewhere", 70)
    watch.advance(30)
    assert REGISTRY.get_sample_value("sigstream_replay_left", {"target": "somewhere"}) == 40


def test_a_backfill_says_how_far_it_is(lines: Callable[[], list[str]], tmp_path: Path) -> None:
    with Display(tmp_path / "workers.log") as display:
        display.show(progress(None, 0, 0))
        display.show(progress(60, 0, 0))
        display.show(progress(120, 8, 160, 89.6))
    assert lines() == [
        "warming up, block 0, 0 signals, 0 of 100 blocks stored",
        "warming up, block 60, 0 signals, 0 of 100 blocks stored",
        "block 120, 160 signals, 8 of 100 blocks stored, 0:01:30 left",
    ]


def test_a_worker_that_came_back_is_said_once(lines: Callable[[], list[str]], tmp_path: Path) -> None:
    again = progress(120, 8, 160)
    again.restarted = ["dedupe"]
    with Display(tmp_path / "workers.log") as display:
        display.show(again)
        display.show(again)
    assert [line for line in lines() if "dedupe" in line] == [
        f"worker dedupe had to be started again: {tmp_path / 'workers.log'} says why"
    ]


def test_between_two_lines_there_is_a_pause(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with Display(tmp_path / "workers.log") as display:
        display.show(progress(120, 8, 160))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("left_s", "shown"), [(89.6, 89.6), (None, -1.0)])
def test_a_backfill_is_measured(left_s: float | None, shown: float) -> None:
    _measure("history", progress(120, 8, 160, left_s))
    found = {
        name: REGISTRY.get_sample_value(f"sigstream_backfill_{name}", {"namespace": "history"})
        for name in ("blocks_wanted", "blocks_stored", "signals_stored", "seconds_left")
    }
    assert found == {
        "blocks_wanted": 100,
        "blocks_stored": 8,
        "signals_stored": 160,
        "seconds_left": shown,
    }
