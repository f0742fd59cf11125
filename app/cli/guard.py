"""Errors of commands: one paragraph on stderr and exit code 1, never a traceback."""

import sys
from typing import Any

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from app.config import Settings, settings
from app.errors import ConfigurationError, SigstreamError


class GuardedGroup(TyperGroup):
    """A command group that shows a SigstreamError as its message alone."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a SigstreamError ends it with exit code 1."""
        try:
            return super().invoke(ctx)
        except SigstreamError as error:
            fail(str(error))


def fail(message: str) -> None:
    """Say why on stderr and leave with exit code 1."""
    sys.stderr.write(f"Error: {message}\n")
    raise typer.Exit(1)


def load_settings() -> Settings:
    """The process's settings. Raises ConfigurationError that names the variable and what it held."""
    try:
        return settings()
    except ValidationError as error:
        raise ConfigurationError("; ".join(_explain(e) for e in error.errors())) from None


def _explain(error: Any) -> str:
    name = "_".join(str(part) for part in error["loc"][:1]).upper()
    return f"SIGSTREAM_{name} is {error['input']!r}: {error['msg']}"
