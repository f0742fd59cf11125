"""Alembic's entry: on the connection that the caller hands over, else on the settings' database."""

import asyncio

from alembic import context
from sqlalchemy import Connection

from app.config import settings
from app.sinks.timescale.config import TimescaleConfig
from app.sinks.timescale.schema import engine


def run(connection: Connection) -> None:
    """All steps in the connection's transaction: a database is migrated as a whole or not at all."""
    context.configure(connection=connection, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


async def run_from_the_command_line() -> None:
    """Migrate the database of SIGSTREAM_TIMESCALE_DSN. Raises ConfigurationError without one."""
    async with engine(TimescaleConfig.of(settings()).dsn.get_secret_value()).begin() as connection:
        await connection.run_sync(run)


handed_over = context.config.attributes.get("connection")
if handed_over is not None:
    run(handed_over)
else:
    asyncio.run(run_from_the_command_line())
