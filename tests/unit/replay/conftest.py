"""The command line for tests of it."""

from tests.support.cli import cli

__all__ = ["cli"]
