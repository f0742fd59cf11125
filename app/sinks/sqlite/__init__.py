"""SQLite."""

from app.sinks.sqlite.config import SqliteConfig
from app.sinks.sqlite.service import SqliteSink

__all__ = ["SqliteConfig", "SqliteSink"]
