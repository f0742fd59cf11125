"""A contender of bench/sink_timescale.py: the loop one writes by hand, with aiokafka and asyncpg.

`python bench/_sink_asyncpg.py BOOTSTRAP INPUT DSN GROUP`. A record a signal, 5,000 a write: COPY into a
temporary table, then a merge by version, then the commit. It sends no receipts, tells no row's outcome,
sets no bad row apart, and takes the identities from the records.
"""

import sys
from datetime import datetime
from typing import Any

import asyncpg
import orjson
import uvloop
from aiokafka import AIOKafkaConsumer

MOST = 5000
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
    return (
        signal["signal_id"],
        signal["provider"],
        signal["symbol"],
        datetime.fromisoformat(signal["ts"]),
        signal["name"],
        signal["value"],
        signal["score"],
        signal["signal_type"],
        signal["block_height"],
        signal["confidence"],
        orjson.dumps(signal["metadata"]).decode(),
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
