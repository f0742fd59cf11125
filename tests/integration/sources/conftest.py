"""Doubles of nodes, a watch that remembers, and the command line."""

from collections.abc import Iterator

import pytest

from app.config import Settings
from app.sources.simulator import simulate
from tests.support.cli import cli
from tests.support.core_double import CoreDouble, ZmqPublisher
from tests.support.heard import Heard

__all__ = ["cli"]


@pytest.fixture
def heard() -> Heard:
    """A watch that remembers."""
    return Heard()


@pytest.fixture
def node() -> Iterator[CoreDouble]:
    """A node with blocks 0 to 29 of the simulator's seed 1."""
    with CoreDouble(simulate(30, seed=1)) as double:
        yield double


@pytest.fixture
def publisher() -> Iterator[ZmqPublisher]:
    """A node's ZMQ notifications."""
    with ZmqPublisher() as found:
        yield found


@pytest.fixture
def core(settings: Settings, node: CoreDouble) -> Settings:
    """Settings of the test's own pipeline, fed by the node."""
    return node.settings(settings)
