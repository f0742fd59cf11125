"""What the process's settings say of variables that can't be read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.config import Settings, settings
from app.errors import ConfigurationError

Load = Callable[[], Settings]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """`settings()` of an empty folder, read anew."""
    monkeypatch.chdir(tmp_path)
    return settings.__wrapped__


@pytest.mark.parametrize("found", ["{bad", "", "[1]", "3"])
@pytest.mark.parametrize("in_file", [False, True])
def test_parameters_that_are_no_json_object(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: str, in_file: bool
) -> None:
    if in_file:
        (tmp_path / ".env").write_text(f"SIGSTREAM_PROCESSOR_PARAMS='{found}'\n")
    else:
        monkeypatch.setenv("SIGSTREAM_PROCESSOR_PARAMS", found)
    with pytest.raises(ConfigurationError) as raised:
        load()
    message = str(raised.value)
    assert message.startswith(f"SIGSTREAM_PROCESSOR_PARAMS is {found!r}: ")
    assert """write an object by processor, '{"whale": {"tiers_btc": [50, 500]}}'""" in message
    assert "\n" not in message


def test_parameters_are_json(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGSTREAM_PROCESSOR_PARAMS", '{"whale": {"tiers_btc": [50, 500]}}')
    assert load().processor_params == {"whale": {"tiers_btc": [50, 500]}}
