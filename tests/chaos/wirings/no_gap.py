"""Ours, but the record behind a gap counts as handled when it arrives."""

from app.streaming.delivery import SafeConsumer
from tests.chaos.wirings.parts import take_out

take_out(SafeConsumer, "_add_gap")

from topologies.dedupe import app  # noqa: E402

__all__ = ["app"]
