"""Errors of commands: one paragraph on stderr and exit code 1, never a traceback."""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from app.errors import SigstreamError


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
