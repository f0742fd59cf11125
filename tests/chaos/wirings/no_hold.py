"""Ours, but the table is written beside the forward, not behind its acknowledgement."""

from tests.chaos.wirings.parts import without_hold

without_hold()

from topologies.dedupe import app  # noqa: E402

__all__ = ["app"]
