"""`sigstream migrate`: the schema of the TimescaleDB sink, by a user who may change it."""

import asyncio

from app.cli.console import out, quiet_logging
from app.config import Settings
from app.sinks.timescale import TimescaleConfig, schema
from app.sinks.timescale.dsn import server_of
from app.sinks.timescale.errors import translated
from app.sinks.timescale.roles import ROLES


def run_migrate(settings: Settings) -> None:
    """Bring the schema up to date, and grant the roles their rights. Raises SigstreamError."""
    quiet_logging(settings)
    config = TimescaleConfig.of(settings)
    server = server_of(config.dsn)
    with translated(server):
        missing = asyncio.run(_migrate(config.dsn.get_secret_value()))
    out().print(f"{server}: the schema is at revision {schema.head()}", highlight=False)
    for line in missing:
        out().print(line, highlight=False)
    if not missing:
        out().print(f"roles {' and '.join(ROLES)} have their rights", highlight=False)


async def _migrate(dsn: str) -> list[str]:
    await schema.upgrade(dsn)
    return await schema.grant(dsn)
