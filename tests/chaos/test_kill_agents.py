"""kill -9 of a Faust agent in mid-stream, then a restart: nothing lost, nothing doubled.

Each test proves that the fault happened: 20-80 % through, exit code -9, uncommitted records left.
"""

from collections import Counter
from collections.abc import Iterable

import msgspec
import pytest

from app.chain.extract import extract
from app.config import Settings
from app.labels.registry import builtin_labels
from app.model.receipt import SETTLED_DECODER
from app.model.signal import BATCH_DECODER
from app.outstanding import Progress
from app.pipeline.chain import Chain
from app.processors.registry import enabled_processors
from app.sources.simulator import simulate
from app.streaming.topics import changelog
from tests.support.blocks import message
from tests.support.drained import drained
from tests.support.latest import Latest
from tests.support.probe import Probe, probe, until, without_repeats
from tests.support.processes import Worker, worker
from tests.support.signals import batch_of, forwarded, raw, receipts_for

BATCHES = 6000
BLOCKS = 400


async def kill_between(
    found: Probe,
    running: Worker,
    topic: str,
    total: int,
    lag: tuple[str, str],
    low: float = 0.2,
    high: float = 0.8,
) -> None:
    """Kill once a fifth of the output is there; the fault must have left work undone."""

    async def far_enough() -> bool:
        assert running.returncode is None, running.log
        return await found.count(topic) > total * low

    await until(far_enough, f"{low:.0%} of {total} records on {topic}", log=lambda: running.log)
    assert running.kill() == -9
    assert await found.count(topic) < total * high
    assert await found.lag(*lag) > 0


@pytest.mark.parametrize("store", ["rocksdb", "memory"])
async def test_dedupe(settings: Settings, store: str) -> None:
    settings = settings.model_copy(update={"dedupe_store": store})
    n = settings.signal_partitions
    async with probe(settings) as found:
        await found.send("signals.raw", (raw(batch_of(number), n) for number in range(BATCHES)))
        with worker(settings, "dedupe") as first:
            await kill_between(found, first, "signals", BATCHES, ("dedupe", "signals.raw"))
        with worker(settings, "dedupe", tag="-2") as second:
            await found.send("signals.raw", (raw(batch_of(number), n) for number in range(BATCHES)))
            await drained(found, second, "dedupe", "signals.raw")
            assert ("tables filled" in second.log) == (store == "memory"), second.log
            assert second.stop() == 0
        taken = Counter(record.key for record in without_repeats(await found.read("signals")))
    assert set(taken) == {raw(batch_of(number), n)[0] for number in range(BATCHES)}, "lost"
    assert {key: count for key, count in taken.items() if count > 1} == {}, "doubled"


async def test_receipts(settings: Settings) -> None:
    signals = forwarded(BATCHES // 2, "a,b", settings.signal_partitions)
    topic = settings.topic("signals")
    async with probe(settings) as found:
        await found.send("signals", signals)
        for sink in ("a", "b"):
            await found.send("signals.persisted", receipts_for(signals, topic, sink))
        with worker(settings, "receipts") as first:
            await kill_between(
                found, first, "signals.settled", len(signals), ("receipts", "signals.persisted")
            )
        with worker(settings, "receipts", tag="-2") as second:
            await drained(found, second, "receipts", "signals", "signals.persisted")
            assert second.stop() == 0
        settled = [
            SETTLED_DECODER.decode(record.value or b"") for record in await found.read("signals.settled")
        ]
        assert {(s.provider, s.symbol, s.ts) for s in settled} == {
            tuple((m[0] or b"").decode().split("|")) for m in signals
        }
        assert all(set(s.stages) == {"a", "b"} for s in settled)
        assert await outstanding(found, settings) == Counter()


async def outstanding(found: Probe, settings: Settings) -> Counter[str]:
    """What the agent still waits for, by its table's changelog."""
    log = changelog(settings, "receipts", "outstanding", settings.signal_partitions)
    left: Counter[str] = Counter()
    latest: dict[bytes, bytes | None] = {}
    for record in await found.read_topic(log.name, log.partitions):
        latest[record.key or b""] = record.value
    for key, value in latest.items():
        if key.endswith(b"/meta") and value:
            left.update(msgspec.json.decode(value, type=Progress).outstanding)
    return +left


def in_order(blocks: Iterable[bytes]) -> dict[str, list[tuple[str, float | None]]]:
    """What the processors make of the chain when it comes in order, by ts."""
    chain = Chain(enabled_processors(Settings(_env_file=None)))
    expected = {}
    for number, value in enumerate(blocks, 1):
        features = extract(value, chain="BTC-SIM", isolated=False, labels=builtin_labels())
        (batch,) = chain.arrive(features, now_ms=number, version=number).batches
        expected[batch.ts] = [(s.name, s.value) for s in batch.signals]
    return expected


async def test_blocks(settings: Settings) -> None:
    blocks = list(simulate(BLOCKS, seed=3))
    async with probe(settings) as found:
        await found.send("blocks", map(message, blocks))
        with worker(settings, "blocks") as first:
            await kill_between(found, first, "signals.raw", BLOCKS, ("blocks", "block-features"))
        with worker(settings, "blocks", tag="-2") as second:
            await drained(found, second, "blocks", "blocks", "block-features")
            await until(lambda: all_there(found), "every block's batch", log=lambda: second.log)
            assert second.stop() == 0
        batches = [BATCH_DECODER.decode(record.value or b"") for record in await found.read("signals.raw")]
    expected = in_order(blocks)
    assert {batch.ts for batch in batches} == set(expected), "lost"
    latest = Latest()
    latest.take(batches)
    taken = {key: row[0] for key, row in latest.rows().items()}
    wanted = {(ts, name): value for ts, signals in expected.items() for name, value in signals}
    wrong = sorted(key for key in {*taken, *wanted} if taken.get(key) != wanted.get(key))
    assert wrong == [], f"not as in order; log:\n{second.log}"


async def all_there(found: Probe) -> bool:
    return len({record.key for record in await found.read("signals.raw")}) == BLOCKS
