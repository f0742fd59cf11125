"""Ours, but records flow while the consumer seeks, and what has no commit is not sought at all."""

from app.streaming.delivery import SafeConsumer
from tests.chaos.wirings.parts import take_out

take_out(SafeConsumer, "perform_seek", "seek_to_committed")

from topologies.dedupe import app  # noqa: E402

__all__ = ["app"]
