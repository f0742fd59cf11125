"""Ours, but commits wait for nothing, and failed sends are of no concern."""

from app.streaming.delivery import SafeConsumer
from tests.chaos.wirings.parts import take_out, without_failures

take_out(SafeConsumer, "_commit")
without_failures()

from topologies.dedupe import app  # noqa: E402

__all__ = ["app"]
