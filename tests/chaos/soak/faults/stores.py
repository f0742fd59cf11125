"""A sink's server that is down, slow, or cuts its connections in mid-statement."""

import asyncio
import sqlite3
import time
from contextlib import closing

from tests.chaos.soak.rig import Rig, expect
from tests.support.faults.proxy import TO_CLIENT, TO_SERVER

SHORT_S = (2.0, 6.0)
LONG_S = 60.0
LONG_SHARE = 1 / 3
"""Of the outages, so many are long: a sink must neither give up nor forget how to come back."""


async def down(rig: Rig, sink: str) -> str:
    """Connections are reset, new ones refused."""
    stage, proxies = f"sink.{sink}", rig.place.servers.store_proxies[sink]
    mark = rig.crew.mark(stage)
    for proxy in proxies:
        proxy.down()
    try:
        return "down " + await outage(rig, stage, mark)
    finally:
        for proxy in proxies:
            proxy.up()


async def outage(rig: Rig, stage: str, mark: int) -> str:
    """Under load, as long as the dice say, and until the sink has noticed."""
    begun = time.monotonic()
    await rig.load.burst()
    await rig.while_load_goes_on(drawn_s(rig))
    await rig.until(lambda: waits(rig, stage, mark), f"{stage} notices")
    left = await rig.has_lag(stage)
    return f"{time.monotonic() - begun:.0f} s, `sink waits` in its log, {left} records left behind"


def drawn_s(rig: Rig) -> float:
    """How long an outage lasts."""
    return LONG_S if rig.rng.random() < LONG_SHARE else rig.rng.uniform(*SHORT_S)


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
        proof = "locked " + await outage(rig, "sink.sqlite", mark)
        other.execute("ROLLBACK")
    return proof


async def _lock(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    return True
