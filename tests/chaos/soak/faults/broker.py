"""Kafka away for a while, or slow."""

import asyncio

from tests.chaos.soak.rig import Rig, expect


async def restart(rig: Rig) -> str:
    """Killed or stopped in order, and started again on the same data."""
    server = rig.place.servers.kafka
    await rig.load.burst()
    before = server.pid
    killed = rig.rng.random() < 0.5
    await asyncio.to_thread(server.kill if killed else server.stop)
    expect(not server.running, "Kafka runs on")
    await asyncio.sleep(rig.rng.uniform(0.5, 4.0))
    server.prepare()
    server.launch()  # on the main thread: its leash follows the thread
    await asyncio.to_thread(server.wait_ready)
    expect(server.pid != before, "it is the same process")
    return f"{'killed' if killed else 'stopped'}, pid {before} -> {server.pid}"


async def slow(rig: Rig) -> str:
    """Answers to produce requests come late; all else is as ever."""
    proxy = rig.place.servers.kafka_proxy
    before = proxy.counts.delayed
    proxy.produce_delay_s = rig.rng.uniform(0.5, 2.0)
    try:
        await rig.load.burst()
        await asyncio.sleep(rig.rng.uniform(3, 6))
        pause = proxy.produce_delay_s
    finally:
        proxy.flow()
    delayed = proxy.counts.delayed - before
    expect(delayed, "no answer came late")
    return f"{delayed} answers {pause:.1f} s late"
