"""The TimescaleDB sink on plain PostgreSQL: the contract by both paths, and what is its own."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec
import orjson
import pytest

from app.embedded.postgres import Postgres
from app.model.keys import read_ts, signal_id, write_ts
from app.model.receipt import Outcome
from app.model.signal import Signal
from app.sinks.base import Sink
from app.sinks.contract import START, TS, Key, Latest, Log, SinkContract, signal
from app.sinks.timescale import TimescaleConfig, TimescaleSink

QUERY = """
    SELECT provider, symbol, ts, name, value, version, digest, retracted_at IS NOT NULL AS retracted,
           metadata::text, signal_type, block_height
    FROM signals JOIN unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[])
         AS wanted (provider, symbol, ts, name) USING (provider, symbol, ts, name)
"""


class TestBothPaths(SinkContract):
    """Small writes by `unnest`, large ones by COPY."""

    threshold = 1000
    reader: asyncpg.Connection

    @pytest.fixture
    async def sink(self, postgres: Postgres) -> AsyncIterator[Sink]:
        sink = TimescaleSink(TimescaleConfig(dsn=postgres.dsn, batch_threshold=self.threshold))
        await sink.open()
        yield sink
        await sink.close()

    @pytest.fixture(autouse=True)
    async def look_into_the_table(self, postgres: Postgres) -> AsyncIterator[None]:
        self.reader = await asyncpg.connect(postgres.dsn)
        yield
        await self.reader.close()

    async def latest(self, sink: Sink, keys: Sequence[Key]) -> dict[Key, Latest]:
        """See SinkContract."""
        by_row = {(key.provider, key.symbol, read_ts(key.ts), key.name): key for key in keys}
        found = await self.reader.fetch(QUERY, *zip(*by_row, strict=True))
        return {
            by_row[row["provider"], row["symbol"], row["ts"], row["name"]]: Latest(
                row["value"],
                row["version"],
                row["digest"],
                row["retracted"],
                None if row["metadata"] is None else orjson.loads(row["metadata"]),
                row["signal_type"],
                row["block_height"],
            )
            for row in found
        }

    async def shown(self, sink: Sink, keys: Sequence[Key]) -> set[Key]:
        """See SinkContract."""
        found = await self.reader.fetch("SELECT provider, symbol, ts, name FROM signals_latest")
        return {Key(p, s, write_ts(ts), n) for p, s, ts, n in found} & set(keys)

    async def test_every_column_is_filled(self, sink: Sink, log: Log) -> None:
        before = datetime.now(UTC)
        sent = Signal(
            name="fee", value=1.0, version=1, digest=2, block_hash="ab", block_time=START, outcome="hit"
        )
        await sink.write([log.record(sent)])
        row = await self.reader.fetchrow("SELECT * FROM signals WHERE symbol = $1", log.symbol)
        assert row["signal_id"] == signal_id(*log.key())
        assert (row["block_hash"], row["block_time"], row["outcome"]) == ("ab", START, "hit")
        assert row["created_at"] >= before - timedelta(seconds=1), "the default of a signal that does not say"

    async def test_an_equal_digest_keeps_the_times(self, sink: Sink, log: Log) -> None:
        await sink.write([log.record(signal(1, digest=7, value=1.0, correlation_id="first"))])
        query = "SELECT version, created_at, updated_at, correlation_id FROM signals WHERE symbol = $1"
        first = await self.reader.fetchrow(query, log.symbol)
        later = START + timedelta(days=1)
        again = signal(2, digest=7, value=1.0, created_at=later, correlation_id="second")
        await sink.write([log.record(again)])
        second = await self.reader.fetchrow(query, log.symbol)
        assert second["version"] == 2
        assert tuple(second)[1:] == tuple(first)[1:]

    @pytest.mark.parametrize(
        ("field", "value", "state"),
        [
            ("name", "nul\0", "22021"),
            ("metadata", msgspec.Raw(b'{"a":"\\u0000"}'), "22P05"),
            ("metadata", msgspec.Raw(b"{"), "22P02"),
            ("confidence", 1.5, "23514"),
            ("version", 2**63, "22000"),
            ("signal_type", "half a \ud83d", "22000"),
        ],
    )
    async def test_what_the_table_refuses_is_rejected_with_its_reason(
        self, sink: Sink, log: Log, field: str, value: object, state: str
    ) -> None:
        bad = signal(name="bad")
        setattr(bad, field, value)
        record = log.record(signal(name="a"))
        record.batch.signals += [bad, signal(name="b")]
        (said,) = await sink.write([record])
        assert [one.outcome for one in said] == ["inserted", "rejected", "inserted"]
        assert state in (said[1].reason or "")

    async def test_a_run_of_new_signals_ends_in_known_and_refused_ones(self, sink: Sink, log: Log) -> None:
        """Straight COPY is expected to work after the first writes, and then does not."""
        size = 1200
        times = [write_ts(START + timedelta(minutes=i)) for i in range(4)]
        new = [log.record(*(signal(name=f"s{i}") for i in range(size)), ts=ts) for ts in times]
        undated = log.record(*(signal(name=f"t{i}", created_at=None) for i in range(size)))
        for record in (*new[:3], undated):
            assert await self.written(sink, record) == [[Outcome.INSERTED] * size]
        changed = log.record(*(signal(i % 2 + 1, name=f"s{i}") for i in range(size)))
        said = await self.written(sink, changed, new[3])
        assert said == [[Outcome.UNCHANGED, Outcome.UPDATED] * (size // 2), [Outcome.INSERTED] * size]
        bad = [signal(name=f"u{i}", confidence=7.0 if i == 700 else 1.0) for i in range(size)]
        (outcomes,) = await self.written(sink, log.record(*bad))
        assert [i for i, one in enumerate(outcomes) if one is not Outcome.INSERTED] == [700]
        count = await self.reader.fetchval("SELECT count(*) FROM signals WHERE symbol = $1", log.symbol)
        assert count == 6 * size - 1

    async def test_many_refused_among_many(self, sink: Sink, log: Log) -> None:
        signals = [signal(name=f"s{i}", confidence=2.0 if i % 100 == 0 else 1.0) for i in range(2000)]
        (said,) = await sink.write([log.record(*signals)])
        assert [one.outcome == "rejected" for one in said] == [i % 100 == 0 for i in range(2000)]
        count = await self.reader.fetchval(
            "SELECT count(*) FROM signals WHERE symbol = $1 AND ts = $2", log.symbol, read_ts(TS)
        )
        assert count == 1980


class TestCopyOnly(TestBothPaths):
    """Every write by COPY, as a threshold of 1 has it."""

    threshold = 1


class TestArgumentsOnly(TestBothPaths):
    """Every write by `unnest`."""

    threshold = 1_000_000
