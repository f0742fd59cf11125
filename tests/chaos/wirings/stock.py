"""signals.raw -> signals with stock Faust: our decisions, its delivery, plain table writes."""

from typing import Any

import faust

from app.config import settings
from app.dedupe import decide, pack, unpack
from app.model.keys import batch_key, version_of
from app.model.raw import read_raw
from app.model.signal import ENCODER
from app.streaming.app import ROCKSDB_OPTIONS, _NoWeb, _options
from app.streaming.record import make_headers, of_faust
from app.streaming.slot import claim

config = settings()
slot = claim(config.data_dir, config.group("dedupe"))
RAW: dict[str, Any] = {
    "key_type": bytes,
    "value_type": bytes,
    "key_serializer": "raw",
    "value_serializer": "raw",
}


class StockApp(faust.App):
    """Stock, but for a web server that two workers on one machine can't both have."""

    BootStrategy = _NoWeb


app = StockApp(
    config.group("dedupe"),
    broker=f"kafka://{config.need_kafka()}",
    datadir=slot.directory,
    consumer_group_instance_id=slot.instance_id,
    **_options(config),
)
raw = app.topic(config.topic("signals.raw"), **RAW)
unique = app.topic(config.topic("signals"), **RAW)
seen = app.Table(
    "seen", key_type=bytes, value_type=bytes, partitions=config.signal_partitions, options=ROCKSDB_OPTIONS
)


@app.agent(raw, concurrency=1)
async def deduplicate(stream: Any) -> None:
    """One record after the other."""
    async for event in stream.events():
        record = of_faust(event.message)
        batch, refused = read_raw(record.value, uppercase=False)
        key = batch_key(batch.provider, batch.symbol, batch.ts)
        known = seen.get(key)
        verdict = decide(
            batch, refused, unpack(known) if known else None,
            version=version_of(record.timestamp_ms, record.offset), now=record.appended_at,
            lifetime_ms=1 << 40,
        )  # fmt: skip
        if verdict.forward:
            headers = make_headers(None, origin_offset=record.offset)
            value = ENCODER.encode(verdict.forward)
            await unique.send(key=key, value=value, partition=record.partition, headers=headers)
        if verdict.seen:
            seen[key] = pack(verdict.seen)
