"""A database a run, so that each finds an empty store."""

from urllib.parse import urlsplit

import asyncpg


async def fresh_database(dsn: str, name: str) -> str:
    """DSN of a new database; what the last one left to write is written before."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.execute("CHECKPOINT")
    await connection.close()
    return urlsplit(dsn)._replace(path=f"/{name}").geturl()


async def drop_database(admin: str, dsn: str) -> None:
    """With whoever is connected to it."""
    connection = await asyncpg.connect(admin)
    await connection.execute(f"DROP DATABASE {urlsplit(dsn).path[1:]} WITH (FORCE)")
    await connection.close()
