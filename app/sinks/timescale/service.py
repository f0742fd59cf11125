"""Signals in PostgreSQL, with TimescaleDB where the server has it: one current row a key."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from app.config import Settings
from app.errors import ConfigurationError
from app.sinks.base import Sink, SinkRecord, Written
from app.sinks.rows import answer, flatten
from app.sinks.statements import load
from app.sinks.timescale import schema
from app.sinks.timescale.config import TimescaleConfig
from app.sinks.timescale.dsn import server_of
from app.sinks.timescale.errors import translated
from app.sinks.timescale.expectation import Expectation
from app.sinks.timescale.upsert import Upsert

SQL = load(Path(__file__).with_name("statements.sql"))


class TimescaleSink(Sink):
    """See Sink. One write is one transaction; a row that the table refuses is left out of it."""

    name = "timescale"

    def __init__(self, config: TimescaleConfig) -> None:
        self._config = config
        self._server = server_of(config.dsn)
        self._dsn = config.dsn.get_secret_value()
        self._pool: asyncpg.Pool | None = None
        self._expectation = Expectation()

    def use(self, settings: Settings) -> None:
        """See Sink."""
        change = {"batch_threshold": settings.timescale_batch_threshold}
        self._config = self._config.model_copy(update=change)

    async def open(self) -> None:
        """Migrate and connect. Raises Transient without a server, ConfigurationError when it refuses us."""
        await self.close()
        with translated(self._server):
            await self._migrate()
            self._pool = await asyncpg.create_pool(
                self._dsn,
                min_size=1,
                max_size=self._config.pool_size,
                init=_prepare,
                reset=_keep_session,
                **self._limits(),
            )

    async def write(self, records: Sequence[SinkRecord]) -> list[list[Written]]:
        """See Sink."""
        rows = flatten(records)
        if not rows:
            return [[] for _ in records]
        async with self._session() as connection:
            upsert = Upsert(connection, SQL, self._config.batch_threshold, self._expectation)
            written = await upsert.store(rows)
        return answer(records, written)

    async def health(self) -> None:
        """See Sink."""
        async with self._session() as connection:
            await connection.execute("SELECT 1")

    async def close(self) -> None:
        """See Sink."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    async def _migrate(self) -> None:
        connection = await asyncpg.connect(self._dsn, **self._limits())
        try:
            current = await schema.is_current(connection)
        finally:
            connection.terminate()
        if not current:
            await self._upgrade()

    async def _upgrade(self) -> None:
        try:
            await schema.upgrade(self._dsn)
        except asyncpg.InsufficientPrivilegeError as error:
            raise ConfigurationError(
                f"{self._server} has not the schema of this version ({schema.head()}), and the sink's user "
                f"may not change it ({error}): run `sigstream migrate` once with the DSN of its owner"
            ) from error

    def _limits(self) -> dict[str, object]:
        # The server gives up on a statement before we give up on the server: then it is free again.
        limits = {
            "statement_timeout": str(int(self._config.timeout_s * 900)),
            "idle_in_transaction_session_timeout": str(int(self._config.stall_s * 1000)),
        }
        return {
            "timeout": self._config.connect_timeout_s,
            "command_timeout": self._config.timeout_s,
            "server_settings": {"application_name": "sigstream", **limits},
        }

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection; thrown away when anything is raised inside, as nobody knows its state then."""
        if self._pool is None:
            await self.open()
        pool = self._pool
        assert pool is not None
        with translated(self._server):
            connection = await pool.acquire(timeout=self._config.connect_timeout_s)
            try:
                yield connection
            except BaseException:
                connection.terminate()
                raise
            finally:
                await pool.release(connection)


async def _prepare(connection: asyncpg.Connection) -> None:
    await connection.execute(SQL["create_incoming"])
    await connection.execute(SQL["set_session"])


async def _keep_session(connection: asyncpg.Connection) -> None:
    """Instead of asyncpg's RESET ALL: it would undo `_prepare`, at a round trip a write."""
