"""What the SQLite sink is told."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, PositiveFloat

from app.config import Settings


class SqliteConfig(BaseModel):
    """Of one sink."""

    model_config = ConfigDict(frozen=True)

    file: Path
    """The database; made with its folder when missing."""
    busy_timeout_s: PositiveFloat = 5.0
    """Longest wait for another program's write to end."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """From the process's settings."""
        return cls(file=settings.sqlite_file)
