"""kill -9 of the BigQuery sink exactly between an append and the commit, again and again.

Each row once in the history table itself, not only in the view. `SIGSTREAM_TEST_KILLS=50` kills as often.
"""

import os
from itertools import cycle, islice

from app.config import Settings
from app.embedded.bigquery import BigQuery
from app.model.receipt import RECEIPT_DECODER
from tests.support.probe import Probe, probe, until
from tests.support.processes import struck, worker
from tests.support.signals import PROVIDER, forwarded, ts_of
from tests.support.stores import BigQueryStore, Key

KILLS = int(os.environ.get("SIGSTREAM_TEST_KILLS", "5"))
MOMENTS = ("appended:1", "written:1", "answered:1", "appended:3", "answered:2", "written:2", "appended:11")
KEYS_A_KILL = 60
NAMES = 5


async def test_every_version_is_in_the_history_once(settings: Settings, bigquery: BigQuery) -> None:
    store = BigQueryStore(bigquery)
    settings = await store.settings(settings.model_copy(update={"sink_batch_signals": 100}))
    count = KEYS_A_KILL * KILLS
    async with probe(settings) as found:
        messages = forwarded(count, store.sink, settings.signal_partitions, NAMES, rounds=2)
        await found.send("signals", messages)
        for number, moment in enumerate(islice(cycle(MOMENTS), KILLS)):
            await kill_at(moment, number, settings, found, store)
        with worker(settings, "sink", store.sink) as last:
            await until(lambda: through(found), "no lag", 60.0 + 4 * KILLS, lambda: last.log)
            assert last.stop() == 0
        answered = {
            RECEIPT_DECODER.decode(r.value or b"").origin for r in await found.read("signals.persisted")
        }
    rows, distinct = await store.history()
    assert rows == distinct, "doubled"
    assert set(await store.versions(PROVIDER)) == versions_of(count), "lost"
    assert len(answered) == len(messages), "records without a receipt"


async def kill_at(moment: str, number: int, settings: Settings, found: Probe, store: BigQueryStore) -> None:
    """The worker dies by itself; what it has appended and not committed proves that it was in between."""
    with struck(settings, f"SIGKILL@{moment}", "sink", store.sink, tag=f"-{number}") as running:

        async def dead() -> bool:
            return running.returncode is not None

        await until(dead, f"killed at {moment}", log=lambda: running.log)
        assert running.returncode == -9, running.log
    beyond = await store.beyond(await found.committed(f"sink.{store.sink}", "signals"))
    assert beyond > 0, f"killed at {moment}, but all that is in the table is committed"


async def through(found: Probe) -> bool:
    return await found.lag("sink.bigquery", "signals") == 0


def versions_of(count: int) -> set[tuple[Key, int]]:
    """Of both rounds."""
    return {
        ((PROVIDER, "TEST", ts_of(number % count), f"n{name}"), number + 1)
        for number in range(2 * count)
        for name in range(NAMES)
    }
