"""What `sigstream replay` prints, on a narrow terminal, too."""

import pytest

from app.cli.replay import _show
from app.replay.tally import Change, Tally


@pytest.mark.parametrize("columns", ["80", "200"])
def test_counts_by_name_and_examples(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    tally = Tally(appended=1234, reasons={"c": "too long"})
    tally.show("a", Change("p|S|t|a", "updated", 1.5, 2.25))
    tally.show("a", Change("p|S|t|a", "retracted", 1.5, None))
    tally.count("b", "unchanged")
    _show({"bigquery": tally}, dry=True)
    shown = capsys.readouterr().out
    for text in ("dry run", "updated", "unchanged", "retracted", "1.5 -> 2.25", "1.5 -> nothing"):
        assert text in shown
    assert "1,234 rows would be appended" in shown
    assert "c: too long" in shown
