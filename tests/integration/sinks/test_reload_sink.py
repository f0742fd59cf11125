"""A sink whose limits and log level change while it writes: nothing lost, nothing written twice."""

import re
from collections import Counter
from pathlib import Path

from app.config import Settings
from app.model.receipt import RECEIPT_DECODER
from tests.support.probe import Probe, probe, until
from tests.support.processes import Worker
from tests.support.settings_file import SettingsFile
from tests.support.signals import forwarded

RECORDS, NAMES = 400, 3
HOUR_MS = str(3_600_000)


async def test_batches_have_their_new_size_from_then_on(settings: Settings, tmp_path: Path) -> None:
    settings = settings.model_copy(update={"sinks": ("sqlite",)})
    file = SettingsFile(
        tmp_path / "settings.env", log_level="debug",
        sink_batch_signals=str(NAMES), sink_batch_age_ms=HOUR_MS, sink_batch_idle_ms=HOUR_MS,
    )  # fmt: skip
    records = forwarded(RECORDS, "sqlite", settings.signal_partitions, NAMES)
    async with probe(settings) as found:
        with file.worker(settings, "sink", "sqlite") as sink:
            await found.send("signals", records[: RECORDS // 2])
            await until(lambda: answered(found, 10), "the first records", log=lambda: sink.log)
            assert set(writes(sink)) == {1}
            file.set(sink_batch_signals=str(NAMES * 20))
            await until(lambda: says(sink, f": {NAMES} -> {NAMES * 20}"), "a reload", log=lambda: sink.log)
            await until(lambda: wrote(sink, 20), "larger writes", log=lambda: sink.log)
            file.set(sink_batch_signals=str(10**9), log_level="info")  # too much: all of it waits
            await until(lambda: says(sink, "debug -> info"), "a reload")
            told = len(writes(sink))
            await found.send("signals", records[RECORDS // 2 :])
            file.set(sink_batch_age_ms="200")  # until it is old enough, by today's measure
            await until(lambda: answered(found, RECORDS), "all records", log=lambda: sink.log)
            assert len(writes(sink)) == told
            file.set(log_level="debug")
            await until(lambda: says(sink, "info -> debug"), "a reload")
            assert sink.stop() == 0
        receipts = [RECEIPT_DECODER.decode(r.value or b"") for r in await found.read("signals.persisted")]
    places = Counter((receipt.origin.partition, receipt.origin.offset) for receipt in receipts)
    assert len(places) == RECORDS
    assert set(places.values()) == {1}
    assert {outcome.value for receipt in receipts for outcome in receipt.outcomes} == {"inserted"}


async def answered(found: Probe, records: int) -> bool:
    """Whether there are receipts for so many."""
    return await found.count("signals.persisted") >= records


async def wrote(sink: Worker, records: int) -> bool:
    """Whether a write of so many is told of."""
    return records in writes(sink)


async def says(sink: Worker, text: str) -> bool:
    return text in sink.whole_log


def writes(sink: Worker) -> list[int]:
    """Records of each write that the log tells of."""
    return [int(count) for count in re.findall(r"written.* records=(\d+)", sink.whole_log)]
