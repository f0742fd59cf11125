"""A block's way from a file to all three stores: once, however often it comes, and under one id."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from app.config import Settings
from app.features_report import report
from app.model.receipt import Outcome
from app.model.signal import BATCH_DECODER
from app.streaming.record import Record
from tests.support.pipeline import View
from tests.support.processes import sigstream
from tests.support.stores import Key

BLOCKS = Path(__file__).parents[1] / "fixtures" / "blocks"
PROVIDER = "sigstream"


class Expected:
    """What must be stored of a block, by what `sigstream features` says of its file."""

    def __init__(self, settings: Settings, height: int) -> None:
        self.file = BLOCKS / f"{height}.json.zst"
        said: Any = report(settings, self.file)
        self.hash = said["hash"].encode()
        self.ts = said["ts"]
        self.key = f"{PROVIDER}|BTC|{self.ts}".encode()
        self.values: dict[Key, float] = {
            (PROVIDER, "BTC", self.ts, signal["name"]): signal["value"] for signal in said["signals"]
        }
        self.batch = (PROVIDER, "BTC", self.ts)
        self.names = sorted(name for _, _, _, name in self.values)


async def ingest(pipe: View, *files: Path) -> None:
    """By the product's command."""
    await asyncio.to_thread(sigstream, pipe.settings, "ingest", "files", "--isolated", *files)


async def test_a_block_sent_three_times_is_stored_once(pipe: View) -> None:
    block = Expected(pipe.settings, 757739)
    await ingest(pipe, block.file)
    await pipe.until_settled(block.key)
    await ingest(pipe, block.file, block.file)
    await pipe.until_answered(block.key, "dedupe", 2)
    await pipe.at_rest()

    assert len(await pipe.of_key("blocks", block.hash)) == 3
    assert len(await pipe.of_key("signals.raw", block.key)) == 3
    (taken,) = await pipe.taken(block.key)
    assert sorted(s.name for s in BATCH_DECODER.decode(taken.value or b"").signals) == block.names
    assert await pipe.outcomes(block.key, "dedupe") == [{Outcome.SAME: block.names}] * 2
    for sink, store in pipe.stores.items():
        assert await pipe.outcomes(block.key, sink) == [{Outcome.INSERTED: block.names}]
        latest = {k: v for k, v in (await store.latest(PROVIDER)).items() if k[:3] == block.batch}
        assert {key: stored.value for key, stored in latest.items()} == block.values, sink
        rows = Counter(
            key for key, _ in (await store.versions(PROVIDER)).elements() if key[:3] == block.batch
        )
        assert rows == Counter(block.values.keys()), sink
    (settled,) = await pipe.settled(block.key)
    assert settled.origin == taken.origin
    assert set(settled.stages) == set(pipe.stores)
    assert settled.rejected == {}


async def test_a_block_s_correlation_id_is_on_everything_it_causes(pipe: View) -> None:
    block = Expected(pipe.settings, 150013)
    await ingest(pipe, block.file)
    await pipe.until_settled(block.key)

    (sent,) = await pipe.of_key("blocks", block.hash)
    given = sent.correlation_id
    assert given
    (features,) = [r for r in await pipe.seen.of("block-features") if block.hash in (r.value or b"")]
    (raw,) = await pipe.of_key("signals.raw", block.key)
    (signals,) = await pipe.taken(block.key)
    receipts = await pipe.of_key("signals.persisted", block.key)
    (settled,) = await pipe.of_key("signals.settled", block.key)
    for record in (features, raw, signals, *receipts, settled):
        assert record.correlation_id == given, record.topic
    for record in (raw, signals, *receipts, settled):
        assert said(record) == given, record.topic
    assert {receipt.stage for receipt in await pipe.receipts(block.key)} == set(pipe.stores)
    for sink, store in pipe.stores.items():
        rows = [row for key, row in (await store.latest(PROVIDER)).items() if key[:3] == block.batch]
        assert len(rows) == len(block.values)
        assert {row.correlation_id for row in rows} == {given}, sink


def said(record: Record) -> str:
    """The id in a record's body."""
    body: Any = msgspec.json.decode(record.value or b"")
    return str(body["correlation_id"])
