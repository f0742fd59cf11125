"""What `sigstream replay` prints, on a narrow terminal, too."""

import pytest

from app.cli.replay import Options, _run, _show
from app.config import Settings
from app.errors import ConfigurationError, ContractError, SigstreamError, Transient
from app.replay.tally import Change, Tally
from app.replay.watch import Watch


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


@pytest.mark.parametrize(
    ("error", "goes_on"), [(Transient, True), (ConfigurationError, False), (ContractError, False)]
)
def test_what_has_to_be_changed_first_does_not_go_on(
    capsys: pytest.CaptureFixture[str], error: type[SigstreamError], goes_on: bool
) -> None:
    async def work(_: Watch) -> None:
        raise error("says why")

    with pytest.raises(error, match="says why"):
        _run(Settings(_env_file=None), Options((), False, False, 0), work, {})
    assert ("the same command goes on" in capsys.readouterr().err) is goes_on
