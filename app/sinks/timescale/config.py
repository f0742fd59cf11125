"""What the TimescaleDB sink is told."""

from typing import Self

from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt, SecretStr

from app.config import Settings
from app.errors import ConfigurationError
from app.sinks.timescale.dsn import server_of


class TimescaleConfig(BaseModel):
    """Of one sink."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    dsn: SecretStr
    """`postgresql://user:password@host:port/database`."""
    batch_threshold: PositiveInt = 1000
    """Rows from which a batch goes by COPY and merge; below, by `unnest`."""
    timeout_s: PositiveFloat = 30.0
    """Longest wait for the server's answer to one statement; then the server counts as down."""
    connect_timeout_s: PositiveFloat = 10.0
    """Longest wait for a connection."""
    stall_s: PositiveFloat = 10.0
    """How long a transaction may stand still before the server ends it: a worker that is suspended amid a
    write holds locks on its rows, and another has taken its place by then."""
    pool_size: PositiveInt = 2
    """Connections: one that writes, one that asks for health meanwhile."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """From the process's settings. Raises ConfigurationError when no database is named, or none
        that can be read."""
        if settings.timescale_dsn is None:
            raise ConfigurationError(
                "no PostgreSQL: SIGSTREAM_TIMESCALE_DSN is not set and no embedded servers run on "
                f"{settings.data_dir}/: start `sigstream up` in another terminal, or set "
                "SIGSTREAM_TIMESCALE_DSN=postgresql://user:password@host:port/database"
            )
        server_of(settings.timescale_dsn)
        return cls(dsn=settings.timescale_dsn, batch_threshold=settings.timescale_batch_threshold)
