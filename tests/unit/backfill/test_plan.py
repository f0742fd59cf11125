"""Versions of a backfill, and which of two writers wins."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.backfill.plan import Begun, Plan, check_same, settings_of, versions_from
from app.config import Settings, load_settings, variables
from app.errors import ConfigurationError
from app.model.keys import version_of

PLAN = Plan(chain="BTC", first=100, last=200, begin=50, replace=False, source="core")
REPLACING = Plan(chain="BTC", first=100, last=200, begin=50, replace=True, source="core")
MILLION_BLOCKS = 1_000_000


def ms(year: int, second: int = 0) -> int:
    return int(datetime(year, 1, 1, 0, 0, second, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize("begun", [2024, 2026, 2040, 2064])
def test_the_live_pipeline_wins_over_a_backfill_whenever_either_ran(begun: int) -> None:
    highest = versions_from(Begun(PLAN, ms(begun))) + MILLION_BLOCKS
    assert 0 < highest < version_of(ms(2024), 0)


def test_of_two_backfills_the_first_stays() -> None:
    earlier = versions_from(Begun(PLAN, ms(2026, second=0)))
    later = versions_from(Begun(PLAN, ms(2026, second=2)))
    assert later + MILLION_BLOCKS < earlier


def test_replacing_wins_over_what_was_there_and_loses_to_what_comes() -> None:
    start = versions_from(Begun(REPLACING, ms(2026, second=10)))
    assert version_of(ms(2026, second=9), 999) < start
    assert start + 5000 < version_of(ms(2026, second=11), 0)


def test_workers_get_a_namespace_of_their_own_and_the_live_stores(tmp_path: Path) -> None:
    live = Settings(_env_file=None, data_dir=tmp_path, kafka="k:1", timescale_dsn="postgresql://h/d")
    own = settings_of(live, "history", Begun(PLAN, ms(2026)), 9200)
    assert (own.namespace, own.first_height, own.emit_from_height) == ("history", 50, 100)
    assert (own.sqlite_file, own.timescale_dsn) == (live.sqlite_file, live.timescale_dsn)
    assert own.required_sinks == live.required_sinks
    assert own.metrics_port == 9201


def test_the_live_settings_file_changes_no_formula_amid_a_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = settings_of(load_settings().settings, "history", Begun(PLAN, ms(2026)), 0)
    for name, value in variables(own).items():
        monkeypatch.setenv(name, value)
    (tmp_path / ".env").write_text("SIGSTREAM_PROCESSORS=whale\nSIGSTREAM_SINKS=bigquery\n")
    found = load_settings().settings
    assert (found.processors, found.required_sinks) == (own.processors, own.required_sinks)


def test_another_backfill_of_the_namespace_is_refused() -> None:
    check_same("history", Begun(PLAN, ms(2026)), PLAN)
    with pytest.raises(ConfigurationError, match=r"begun 2026-01-01T00:00:00\+00:00.*another --namespace"):
        check_same("history", Begun(PLAN, ms(2026)), REPLACING)
