"""What a long command says where there is no terminal."""

import pytest

from app.cli.bar import StagesBar


def test_stages_say_how_far_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StagesBar, "plain_every_s", 0.0)
    with StagesBar("verify") as bar:
        bar.begin("reading topics", 2_500_000)
        bar.advance(1_234_567)
        bar.begin("reading stores", 3)
        bar.advance(1)
        bar.advance(2)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines] == [
        "reading topics: 1234567 of 2500000",
        "reading stores: 1 of 3",
        "reading stores: 3 of 3",
    ]
