"""A sink's server that is down, slow, or cuts its connections in mid-statement."""

import asyncio
import sqlite3
from contextlib import closing

from tests.chaos.soak.rig import Rig, expect
from tests.support.faults.proxy import TO_CLIENT, TO_SERVER


async def down(rig: Rig, sink: str) -> str:
    """Connections are reset, new ones refused."""
    stage, proxies = f"sink.{sink}", rig.place.servers.store_proxies[sink]
    mark = rig.crew.mark(stage)
    for proxy in proxies:
        proxy.down()
    try:
        await rig.load.burst()
        await asyncio.sleep(rig.rng.uniform(2, 6))
        await rig.until(lambda: waits(rig, stage, mark), f"{stage} notices")
        left = await rig.has_lag(stage)
    finally:
        for proxy in proxies:
            proxy.up()
    return f"`sink waits` in its log, {left} records left behind"


async def waits(rig: Rig, stage: str, mark: int) -> bool:
    """The sink has met the fault."""
    said = rig.crew.log_since(stage, mark)
    return any(word in said for word in ("sink waits", "sink not ready", "fenced"))


async def slow(rig: Rig, sink: str) -> str:
    """Each chunk, to the server and back, takes its time."""
    proxies = rig.place.servers.store_proxies[sink]
    before = sum(proxy.counts.delayed for proxy in proxies)
    pause = rig.rng.uniform(0.1, 0.5)
    for proxy in proxies:
        proxy.delay_s.update({TO_SERVER: pause, TO_CLIENT: pause})
    try:
        await rig.load.burst()
        left = await rig.has_lag(f"sink.{sink}")
        await asyncio.sleep(rig.rng.uniform(3, 6))
    finally:
        for proxy in proxies:
            proxy.flow()
    delayed = sum(proxy.counts.delayed for proxy in proxies) - before
    expect(delayed, "nothing came late")
    return f"{delayed} chunks {pause:.2f} s late, {left} records behind"


async def cuts(rig: Rig, sink: str) -> str:
    """Connections are reset once they have carried the first part of a statement."""
    proxy = rig.place.servers.store_proxies[sink][-1]
    before, times = proxy.counts.cut, rig.rng.randint(1, 3)
    proxy.cut(times, rig.rng.randint(500, 20_000))
    try:
        for _ in range(20):
            await rig.load.burst(60, 1)
            await asyncio.sleep(0.5)
            if proxy.counts.cut - before >= times:
                break
    finally:
        proxy.flow()
    cut = proxy.counts.cut - before
    expect(cut, "no connection was cut")
    return f"{cut} connections cut in mid-statement"


async def locked(rig: Rig) -> str:
    """SQLite has no server: another program holds its file instead."""
    mark = rig.crew.mark("sink.sqlite")
    with closing(sqlite3.connect(rig.place.direct.sqlite_file, isolation_level=None)) as other:
        await rig.until(lambda: _lock(other), "the lock")
        await rig.load.burst()
        left = await rig.has_lag("sink.sqlite")
        await rig.until(lambda: waits(rig, "sink.sqlite", mark), "sink.sqlite notices")
        other.execute("ROLLBACK")
    return f"`sink waits` in its log, {left} records left behind"


async def _lock(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    return True
