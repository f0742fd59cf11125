"""The command line for tests of what it says, and a port."""

import socket

import pytest

from tests.support.cli import cli

__all__ = ["cli"]


@pytest.fixture
def free_port() -> int:
    """Nobody listens there."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
