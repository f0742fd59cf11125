"""The command line in this process, in a directory and an environment of its own."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import structlog
from typer.testing import CliRunner, Result

from app.config import Settings, settings, variables
from app.main import app


class Cli:
    """Runs commands; `environment` holds the settings they see."""

    def __init__(self) -> None:
        # A screen wide enough that tables don't wrap what tests look for.
        self.environment: dict[str, str] = {"COLUMNS": "200"}

    def use(self, config: Settings) -> None:
        """From now on with these settings."""
        self.environment.update(variables(config))

    def __call__(self, *arguments: str | Path) -> Result:
        """Run `sigstream ARGUMENTS`; what the command did not expect is raised."""
        settings.cache_clear()
        try:
            return CliRunner().invoke(
                app, [str(a) for a in arguments], env=self.environment, catch_exceptions=False
            )
        finally:
            settings.cache_clear()

    def json(self, *arguments: str | Path) -> object:
        """The document that the command prints with --json."""
        result = self(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        return orjson.loads(result.stdout)


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cli]:
    """The command line, without the settings of whoever runs the tests; logging as it was afterwards."""
    for name in [name for name in os.environ if name.startswith("SIGSTREAM_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield Cli()
    root.setLevel(level)
    root.handlers[:] = handlers
    structlog.reset_defaults()
