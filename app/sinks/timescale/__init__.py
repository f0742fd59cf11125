"""TimescaleDB, or plain PostgreSQL."""

from app.sinks.timescale.config import TimescaleConfig
from app.sinks.timescale.service import TimescaleSink

__all__ = ["TimescaleConfig", "TimescaleSink"]
