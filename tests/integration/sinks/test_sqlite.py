"""The SQLite sink: the contract, and what is its own: durability settings, locks, damage, permissions."""

import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import orjson
import pytest

from app.config import Settings
from app.errors import ConfigurationError, Terminal, Transient
from app.model.keys import signal_id
from app.model.signal import Signal
from app.sinks.base import Sink
from app.sinks.contract import START, TS, Key, Latest, Log, SinkContract, signal
from app.sinks.sqlite import SqliteConfig, SqliteSink

QUERY = """
    SELECT value, version, digest, retracted_at IS NOT NULL AS retracted, metadata, signal_type, block_height
    FROM signals WHERE provider = ? AND symbol = ? AND ts = ? AND name = ?
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "made" / "on the way" / "signals.db"


@pytest.fixture
async def sink(file: Path) -> AsyncIterator[Sink]:
    sink = SqliteSink(SqliteConfig(file=file, busy_timeout_s=0.2))
    await sink.open()
    yield sink
    await sink.close()


@pytest.fixture
def log() -> Log:
    return Log()


class TestSqlite(SinkContract):
    """All of the contract."""

    file: Path

    @pytest.fixture
    async def sink(self, file: Path) -> AsyncIterator[Sink]:
        self.file = file
        sink = SqliteSink(SqliteConfig(file=file))
        await sink.open()
        yield sink
        await sink.close()

    async def latest(self, sink: Sink, keys: Sequence[Key]) -> dict[Key, Latest]:
        """See SinkContract."""
        connection = sqlite3.connect(self.file)
        connection.row_factory = sqlite3.Row
        found = {key: connection.execute(QUERY, key).fetchone() for key in keys}
        connection.close()
        return {
            key: Latest(
                row["value"],
                row["version"],
                row["digest"],
                bool(row["retracted"]),
                None if row["metadata"] is None else orjson.loads(row["metadata"]),
                row["signal_type"],
                row["block_height"],
            )
            for key, row in found.items()
            if row
        }

    async def shown(self, sink: Sink, keys: Sequence[Key]) -> set[Key]:
        """See SinkContract."""
        connection = sqlite3.connect(self.file)
        found = connection.execute("SELECT provider, symbol, ts, name FROM signals_latest").fetchall()
        connection.close()
        return {Key(*row) for row in found} & set(keys)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("metadata", msgspec.Raw(b"{")),
            ("confidence", 1.5),
            ("version", 2**63),
            ("signal_type", "half a \ud83d"),
        ],
    )
    async def test_what_the_table_refuses_is_rejected_with_its_reason(
        self, sink: Sink, log: Log, field: str, value: object
    ) -> None:
        bad = signal(name="bad")
        setattr(bad, field, value)
        record = log.record(signal(name="a"))
        record.batch.signals += [bad, signal(name="b")]
        (said,) = await sink.write([record])
        assert [one.outcome for one in said] == ["inserted", "rejected", "inserted"]
        assert "SQLite" in (said[1].reason or "")


async def test_every_column_is_filled(sink: Sink, log: Log, file: Path) -> None:
    sent = Signal(name="fee", value=1.0, version=1, digest=2, block_time=START, outcome="hit")
    await sink.write([log.record(sent)])
    connection = sqlite3.connect(file)
    connection.row_factory = sqlite3.Row
    row = connection.execute("SELECT * FROM signals").fetchone()
    connection.close()
    assert (row["signal_id"], row["ts"], row["block_time"]) == (str(signal_id(*log.key())), TS, TS)
    assert row["outcome"] == "hit"
    assert row["created_at"] == row["updated_at"], "the default of a signal that does not say"


async def test_an_equal_digest_keeps_the_times(sink: Sink, log: Log, file: Path) -> None:
    def stored() -> tuple[object, ...]:
        connection = sqlite3.connect(file)
        query = "SELECT version, created_at, updated_at, correlation_id FROM signals"
        row: tuple[object, ...] = connection.execute(query).fetchone()
        connection.close()
        return row

    await sink.write([log.record(signal(1, digest=7, value=1.0, correlation_id="first"))])
    first = stored()
    await sink.write([log.record(signal(2, digest=7, value=1.0, created_at=None, correlation_id="second"))])
    assert stored() == (2, *first[1:])


async def test_readers_go_on_while_it_writes(sink: Sink, log: Log, file: Path) -> None:
    reader = sqlite3.connect(file, isolation_level=None)
    assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM signals").fetchone() == (0,)
    await sink.write([log.record(signal())])
    reader.execute("COMMIT")
    assert reader.execute("SELECT count(*) FROM signals").fetchone() == (1,)
    reader.close()


async def test_another_programs_write_is_waited_for(sink: Sink, log: Log, file: Path) -> None:
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Transient, match="another program is writing"):
        await sink.write([log.record(signal())])
    other.execute("COMMIT")
    other.close()
    (said,) = await sink.write([log.record(signal())])
    assert said[0].outcome == "inserted"


async def test_a_full_disk_heals(sink: Sink, log: Log, file: Path) -> None:
    many = [signal(name=f"s{i}", correlation_id="x" * 2000) for i in range(1000)]
    pages = sqlite3.connect(file).execute("PRAGMA page_count").fetchone()[0]
    assert isinstance(sink, SqliteSink)
    await sink._run(lambda: sink._opened()._connection.execute(f"PRAGMA max_page_count = {pages + 20}"))
    with pytest.raises(Transient, match="disk is full"):
        await sink.write([log.record(*many)])
    await sink._run(lambda: sink._opened()._connection.execute("PRAGMA max_page_count = 1000000"))
    (said,) = await sink.write([log.record(*many)])
    assert {one.outcome for one in said} == {"inserted"}


def _overwrite(file: Path, after: int) -> None:
    """With noise, from byte `after` on."""
    content = bytearray(file.read_bytes())
    content[after:] = os.urandom(len(content) - after)
    file.write_bytes(content)


async def test_a_file_that_is_no_database_stops_the_worker(sink: Sink, file: Path) -> None:
    await sink.close()
    _overwrite(file, after=0)
    with pytest.raises(Terminal, match="move it away"):
        await SqliteSink(SqliteConfig(file=file)).open()


async def test_a_damaged_file_stops_the_worker(sink: Sink, log: Log, file: Path) -> None:
    await sink.write([log.record(*(signal(name=f"s{i}") for i in range(1000)))])
    await sink.close()
    _overwrite(file, after=4096)
    with pytest.raises(Terminal, match="no intact SQLite database"):
        await sink.write([log.record(signal(2, name="s1"))])


async def test_a_path_that_cant_be_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "signals.db", tmp_path):
        with pytest.raises(ConfigurationError, match="SIGSTREAM_SQLITE_PATH"):
            await SqliteSink(SqliteConfig(file=path)).open()


async def test_a_table_of_another_program_is_a_configuration_error(tmp_path: Path, log: Log) -> None:
    file = tmp_path / "other.db"
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE signals (id INTEGER)")
    connection.close()
    with pytest.raises(ConfigurationError, match="another program's"):
        await SqliteSink(SqliteConfig(file=file)).open()


def test_the_settings_name_the_file(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path)
    assert SqliteConfig.of(settings).file == tmp_path / "signals.db"
