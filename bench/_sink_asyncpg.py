"""A contender of bench/sink_timescale.py: the loop one writes by hand, with aiokafka and asyncpg.

`python bench/_sink_asyncpg.py BOOTSTRAP INPUT DSN GROUP`. A record a signal, 5,000 a write: COPY into a
temporary table, then a merge by version, then the commit. It stores the rows that the product stores,
ids included, but sends no receipts, tells no row's outcome, and sets no bad row apart.
"""

import sys
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import asyncpg
import orjson
import uvloop
from aiokafka import AIOKafkaConsumer

MOST = 5000
NAMESPACE = UUID("6c1f7d3e-9a6b-5b0e-8f39-3d7f3a5b9c21")
COLUMNS = (
    "signal_id", "provider", "symbol", "ts", "name", "value", "score", "signal_type", "block_height",
    "confidence", "metadata", "version", "digest", "created_at",
)  # fmt: skip
KEY = ("provider", "symbol", "ts", "name")
STAGE = (
    f"CREATE TEMP TABLE stage ON COMMIT DELETE ROWS AS SELECT {', '.join(COLUMNS)} FROM signals WITH NO DATA"
)
MERGE = f"""
    INSERT INTO signals ({", ".join(COLUMNS)}) SELECT {", ".join(COLUMNS)} FROM stage
    ON CONFLICT ({", ".join(KEY)}) DO UPDATE
    SET {", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name not in KEY)}
    WHERE excluded.version > signals.version
"""


def row_of(value: bytes) -> tuple[Any, ...]:
    """The columns of a record."""
    signal = orjson.loads(value)
    provider, symbol, ts, name = signal["provider"], signal["symbol"], signal["ts"], signal["name"]
    return (
        uuid5(NAMESPACE, f"{provider}|{symbol}|{ts}|{name}"),
        provider,
        symbol,
        datetime.fromisoformat(ts),
        name,
        signal["value"],
        signal["score"],
        signal["signal_type"],
        signal["block_height"],
        signal["confidence"],
        orjson.dumps(metadata).decode() if (metadata := signal.get("metadata")) else None,
        signal["version"],
        signal["digest"],
        datetime.fromisoformat(signal["created_at"]),
    )


async def write(connection: asyncpg.Connection, rows: list[tuple[Any, ...]]) -> None:
    """All in one transaction."""
    async with connection.transaction():
        await connection.copy_records_to_table("stage", records=rows, columns=COLUMNS)
        await connection.execute(MERGE)


async def run(bootstrap: str, source: str, dsn: str, group: str) -> None:
    """Until killed."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(STAGE)
    consumer = AIOKafkaConsumer(
        source,
        bootstrap_servers=bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=4_000_000,
    )
    await consumer.start()
    rows: list[tuple[Any, ...]] = []
    while True:
        found = await consumer.getmany(timeout_ms=200, max_records=MOST - len(rows))
        rows += [row_of(record.value) for records in found.values() for record in records]
        if len(rows) == MOST or (rows and not found):
            await write(connection, rows)
            await consumer.commit()
            rows = []


if __name__ == "__main__":
    uvloop.run(run(*sys.argv[1:]))
