"""The schema: Alembic's migrations, run by the sink itself, by one worker at a time."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, NullPool, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

import migrations
from app.errors import Terminal
from app.sinks.timescale import roles

_LOCK = 0x7369_6773_7472_6561
"""Of `pg_advisory_xact_lock`: "sigstrea" in ASCII."""
_STATEMENT_TIMEOUT_S = 3600.0
"""Converting a large table takes its time."""
_CONNECT_TIMEOUT_S = 10.0


def engine(dsn: str) -> AsyncEngine:
    """SQLAlchemy's view of the database, connected as the sink itself connects."""

    async def connect() -> Any:
        return await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S, command_timeout=_STATEMENT_TIMEOUT_S)

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)


async def upgrade(dsn: str, revision: str = "head") -> None:
    """Bring the schema up to `revision`; several workers may call it at once.

    Raises Terminal when the database is of a later version of the product; else what asyncpg raises.
    """
    await _run(dsn, lambda config: command.upgrade(config, revision))


async def grant(dsn: str) -> list[str]:
    """Give the group roles their rights once more; what is missing then, a line each.

    Raises what asyncpg raises.
    """
    connection = await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_S)
    try:
        await connection.execute(roles.GRANT)
        missing = await connection.fetch(roles.MISSING, *map(list, zip(*roles.RIGHTS, strict=True)))
        return [*dict.fromkeys(map(roles.advice, missing))]
    finally:
        await connection.close()


async def downgrade(dsn: str, revision: str) -> None:
    """Take the schema back to `revision`; "base": nothing is left of it, data included."""
    await _run(dsn, lambda config: command.downgrade(config, revision))


async def is_current(connection: asyncpg.Connection) -> bool:
    """Whether nothing is to be migrated."""
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return False
    return bool(await connection.fetchval("SELECT version_num FROM alembic_version") == head())


async def _run(dsn: str, step: Callable[[Config], None]) -> None:
    def locked(connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        config = _config()
        config.attributes["connection"] = connection
        step(config)

    try:
        async with engine(dsn).begin() as connection:
            await connection.run_sync(locked)
    except DBAPIError as error:
        raise _driver_error(error) from error
    except CommandError as error:
        raise Terminal(
            f"the database's schema can't be migrated ({error}): it was migrated by a later version of "
            "sigstream; run that one, or downgrade with it first"
        ) from error


def _driver_error(error: DBAPIError) -> BaseException:
    """asyncpg's own, out of SQLAlchemy's two wrappings."""
    wrapped = error.orig
    return wrapped.__cause__ or wrapped if wrapped is not None else error


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    return config


@cache
def head() -> str | None:
    """The revision that this version of the product needs."""
    return ScriptDirectory.from_config(_config()).get_current_head()
