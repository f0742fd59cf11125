"""The product's own, whole."""

from topologies.dedupe import app

__all__ = ["app"]
