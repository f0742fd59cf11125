"""The command line for tests of what it says."""

from tests.support.cli import cli

__all__ = ["cli"]
