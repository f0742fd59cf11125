"""`sigstream verify` of a part of what came in: what is wrong in it is found, what is wrong outside is not,
and nothing is called wrong that only the whole could tell."""

import asyncio
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from typing import NamedTuple

import orjson
import pytest
from aiokafka import TopicPartition

from app.config import Settings
from app.model.signal import SignalBatch
from app.query.kafka import open_reader
from tests.support.cli import Cli
from tests.support.forged import commit, forward, said_to_be_known
from tests.support.pipeline import View, running, view, with_stores
from tests.support.signals import batch_of, raw, ts_of
from tests.support.stores import SqliteStore

GROUPS, RECORDS = 3, 10
"""Groups of records on partition 0 of signals.raw, each a moment later than the one before."""
LOST, DELETED, OLDER, NEWER, DENIED, AGAIN, STRANGE, POISON, LATE = range(1, RECORDS)
"""What is wrong with a group's record of that offset; nothing with the first. `AGAIN` is a newer version of
it; `LATE` is right, too, and is forwarded while the next group comes in."""
FORWARDED = (0, DELETED, OLDER, NEWER, STRANGE)
PARTITIONS = 2
NUMBERS = [n for n in range(200) if raw(batch_of(n), PARTITIONS)[2] == 0]
"""Of batches whose keys belong to partition 0."""
MOVED = NUMBERS[GROUPS * RECORDS :]
"""Of batches that were sent to partition 1, one a group."""
Found = set[tuple[str, str, str]]
"""Kind, where, and `ts` of the key, or the place of a record without."""


class Range(NamedTuple):
    """Options, and the groups within."""

    options: tuple[str, ...]
    groups: range


def number_of(group: int, record: int) -> int:
    return NUMBERS[group * RECORDS + (0 if record == AGAIN else record)]


def batch_in(group: int, record: int) -> SignalBatch:
    version = 2 if record == AGAIN else 1
    return batch_of(number_of(group, record), names=1, value=float(version), version=version)


async def test_a_range_tells_what_is_in_it(
    settings: Settings, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.verify.run.EXAMPLES", 100)
    base = settings.model_copy(update={"signal_partitions": PARTITIONS})
    settings, stores = await with_stores(base, [SqliteStore()])
    cli.use(settings)
    with running(settings, stores, agents=()) as pipeline:
        async with view(pipeline) as pipe:
            await come_in(pipe)
            await commit(settings, "dedupe", "signals.raw")
            await pipe.until(lambda: is_stored(pipe), "all that was forwarded is stored and committed")
    in_the_store(settings)
    for wanted in await ranges(settings):
        code, found = await looked(cli, *wanted.options)
        assert (code, found) == (1, expected(wanted.groups)), wanted.options
    assert await looked(cli) == (1, expected(range(GROUPS)) | only_the_whole_tells())
    assert await looked(cli, "--from-offset", str(GROUPS * RECORDS)) == (0, set())


def test_of_a_namespace_that_nobody_uses(settings: Settings, cli: Cli) -> None:
    cli.use(settings)
    result = cli("verify")
    assert result.exit_code == 1
    assert f"there is no topic {settings.namespace}.signals.raw" in result.stderr
    assert "SIGSTREAM_NAMESPACE" in result.stderr


async def come_in(pipe: View) -> None:
    """All groups, and what a dedupe worker made of them that loses some."""
    late: list[tuple[int, int]] = []
    for group in range(GROUPS):
        await a_moment_later()
        for record in range(RECORDS):
            await arrive(pipe, group, record)
        _, value, *_ = raw(batch_of(MOVED[group], names=1, version=1), PARTITIONS)
        assert (await pipe.send("signals.raw", value, b"moved", 1))[1] == group
        await forward_all(pipe, late)
        await forward_all(pipe, [(group, record) for record in FORWARDED])
        late = [(group, LATE)]
    await forward_all(pipe, late)


async def a_moment_later() -> None:
    """The broker's clock has millisecond ticks: what comes now has a later one than all before."""
    now = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 <= now + 1:
        await asyncio.sleep(0.001)


async def arrive(pipe: View, group: int, record: int) -> None:
    offset = group * RECORDS + record
    if record == POISON:
        assert await pipe.send("signals.raw", b"\xff", b"poison", 0) == (0, offset)
    elif record in (DENIED, AGAIN):
        assert await said_to_be_known(pipe, batch_in(group, record)) == (0, offset)
    else:
        key, value, partition, _ = raw(batch_in(group, record), PARTITIONS)
        assert await pipe.send("signals.raw", value, key, partition) == (0, offset)


async def forward_all(pipe: View, records: Iterable[tuple[int, int]]) -> None:
    for group, record in records:
        await forward(pipe, batch_in(group, record), 0, group * RECORDS + record)


async def is_stored(pipe: View) -> bool:
    return await pipe.kafka.lag("sink.sqlite", "signals") == 0


def in_the_store(settings: Settings) -> None:
    """A row less, one that is older, one that is newer, and one too many, a group."""
    with closing(sqlite3.connect(settings.sqlite_file, isolation_level=None)) as file:
        for group in range(GROUPS):
            at = {record: f"ts = '{ts_of(number_of(group, record))}'" for record in range(RECORDS)}
            file.execute(f"DELETE FROM signals WHERE {at[DELETED]}")
            file.execute(f"UPDATE signals SET version = version - 1 WHERE {at[OLDER]}")
            file.execute(f"UPDATE signals SET version = version + 1 WHERE {at[NEWER]}")
            file.execute(f"CREATE TEMP TABLE one{group} AS SELECT * FROM signals WHERE {at[STRANGE]}")
            file.execute(f"UPDATE one{group} SET name = 'nobody'")
            file.execute(f"INSERT INTO signals SELECT * FROM one{group}")


async def ranges(settings: Settings) -> list[Range]:
    """Every option by itself, and two at once."""
    first, end = str(RECORDS), str(2 * RECORDS)
    since, until = await times(settings)
    behind, before, between = range(1, GROUPS), range(2), range(1, 2)
    return [
        Range(("--from-offset", first), behind),
        Range(("--since", since), behind),
        Range(("--to-offset", end), before),
        Range(("--until", until), before),
        Range(("--from-offset", first, "--until", until), between),
        # A range of all there is is no whole: it may be asked for where the store holds more.
        Range(("--from-offset", "0"), range(GROUPS)),
    ]


async def times(settings: Settings) -> list[str]:
    """The broker's of the second group's first record, and of the third's."""
    tp = TopicPartition(settings.topic("signals.raw"), 0)
    async with open_reader(settings) as reader:
        found = [record.timestamp_ms async for record in reader.read(tp, 0, GROUPS * RECORDS)]
    return [datetime.fromtimestamp(found[n] / 1000, UTC).isoformat() for n in (RECORDS, 2 * RECORDS)]


def expected(groups: range) -> Found:
    """What each of these groups has by itself."""
    found: Found = set()
    for group in groups:
        at = {record: ts_of(number_of(group, record)) for record in range(RECORDS)}
        found |= {("missing", "signals", at[LOST]), ("missing", "sqlite", at[DELETED])}
        found |= {("different", "sqlite", at[OLDER])}
        found |= {("unreceipted", "dedupe", f"0/{group * RECORDS + POISON}")}
    return found


def only_the_whole_tells() -> Found:
    """What may have a reason that lies outside of a range."""
    found: Found = set()
    for group in range(GROUPS):
        at = {record: ts_of(number_of(group, record)) for record in range(RECORDS)}
        found |= {("missing", "signals", at[DENIED]), ("missing", "signals", at[AGAIN])}
        found |= {("missing", "signals", ts_of(MOVED[group]))}
        found |= {("different", "sqlite", at[NEWER]), ("extra", "sqlite", at[STRANGE])}
    return found


async def looked(cli: Cli, *options: str) -> tuple[int, Found]:
    """Exit code of `verify`, and what it found."""
    result = await asyncio.to_thread(cli, "verify", "--json", *options)
    findings = orjson.loads(result.stdout)["findings"]
    assert all(finding["count"] == len(finding["examples"]) for finding in findings)
    return result.exit_code, {
        (f["kind"], f["where"], e["key"][-27:] or e["at"]) for f in findings for e in f["examples"]
    }
