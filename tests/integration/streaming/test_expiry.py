"""Dedupe forgets keys that nobody touched, from the table and its changelog, on both stores."""

import pytest

from app.config import Settings
from app.streaming.topics import changelog
from tests.support.probe import Probe, probe, until
from tests.support.processes import worker
from tests.support.signals import batch_of, raw

KEYS = 40
LIFETIME_S = 3


@pytest.mark.parametrize("store", ["rocksdb", "memory"])
async def test_an_untouched_key_is_forgotten(settings: Settings, store: str) -> None:
    update = {"dedupe_store": store, "dedupe_expiry_days": LIFETIME_S / 86_400}
    settings = settings.model_copy(update=update)
    n = settings.signal_partitions
    old = {raw(batch_of(number), n)[0] or b"" for number in range(KEYS)}
    fresh = iter(range(KEYS, 1_000_000))
    async with probe(settings) as found:
        with worker(settings, "dedupe") as running:
            await found.send("signals.raw", (raw(batch_of(number), n) for number in range(KEYS)))

            async def all_forgotten() -> bool:
                """Other records drive the walk."""
                assert running.returncode is None, running.log
                await found.send("signals.raw", (raw(batch_of(next(fresh)), n) for _ in range(100)))
                return await forgotten(found, settings) >= old

            await until(all_forgotten, "tombstones for all old keys", log=lambda: running.log)
            await found.send("signals.raw", (raw(batch_of(number), n) for number in range(KEYS)))

            async def all_again() -> bool:
                keys = [record.key or b"" for record in await found.read("signals")]
                return all(keys.count(key) == 2 for key in old)

            await until(all_again, "every old key forwarded once more", log=lambda: running.log)
            assert running.stop() == 0


async def forgotten(found: Probe, settings: Settings) -> set[bytes]:
    log = changelog(settings, "dedupe", "seen", settings.signal_partitions)
    return {
        record.key or b""
        for record in await found.read_topic(log.name, log.partitions)
        if record.value is None
    }
