"""signals.raw -> signals: drop what is known, forward what is new, changed or retracted."""

from typing import Any

from app.dedupe import Verdict, decide, pack, touched_ms, unpack
from app.errors import ContractError
from app.model.keys import batch_key, partition_of, version_of
from app.model.raw import read_raw
from app.model.receipt import Receipt
from app.model.signal import ENCODER, SignalBatch
from app.streaming.app import create_app
from app.streaming.expiry import Walk
from app.streaming.record import REKEYED, Record, first_seen, make_headers

app = create_app("dedupe")
config = app.settings
partitions = config.signal_partitions
lifetime_ms = int(config.dedupe_expiry_days * 86_400_000)
required = ",".join(config.required_sinks)

seen = app.held_table("seen", partitions)
"""provider|symbol|ts -> what `app.dedupe.pack` makes of Seen."""
walk = Walk(seen.table, lambda key: partition_of(key, partitions))


@app.process("signals.raw")
async def deduplicate(event: Any, record: Record) -> None:
    """One record of `signals.raw`: to its own partition, or judged and forwarded."""
    batch, refused = read_raw(record.value, uppercase=config.uppercase_symbols)
    key = batch_key(batch.provider, batch.symbol, batch.ts)
    home = partition_of(key, partitions)
    if home != record.partition:
        await rekey(record, key, home)
        return
    batch.correlation_id = record.correlation_id or batch.correlation_id or f"raw-{home}-{record.offset}"
    known = seen.get(event, key)
    timestamp_ms, offset = first_seen(record)
    verdict = decide(
        batch,
        refused,
        unpack(known) if known else None,
        version=version_of(timestamp_ms, offset),
        now=record.appended_at,
        lifetime_ms=lifetime_ms,
    )
    await act(event, record, key, batch, verdict)
    forget_expired(event, record)


async def rekey(record: Record, key: bytes, home: int) -> None:
    """The same bytes to the partition of the canonical key: producers partition as they like."""
    if REKEYED in record.headers:
        raise ContractError(
            f"key {key.decode()} belongs to partition {home}, was sent there, and came to "
            f"{record.partition}: has topic {record.topic} still {partitions} partitions?"
        )
    origin = f"{record.partition}/{record.offset}/{record.timestamp_ms}".encode()
    headers = [*record.headers.items(), (REKEYED, origin)]
    await app.forward("signals.raw", key, record.value, home, headers)


async def act(event: Any, record: Record, key: bytes, batch: SignalBatch, verdict: Verdict) -> None:
    """Forward, answer, remember: in this order, and remembered only once the forward is acknowledged."""
    sent = None
    if verdict.forward:
        headers = make_headers(batch.correlation_id, origin_offset=record.offset, required_sinks=required)
        sent = await app.forward("signals", key, ENCODER.encode(verdict.forward), record.partition, headers)
    if verdict.outcomes:
        receipt = ENCODER.encode(answer(record, batch, verdict))
        await app.forward(
            "signals.persisted", key, receipt, record.partition, make_headers(batch.correlation_id)
        )
    if verdict.seen:
        seen.put(event, key, pack(verdict.seen), after=sent)


def answer(record: Record, batch: SignalBatch, verdict: Verdict) -> Receipt:
    """The receipt for what is not forwarded."""
    return Receipt(
        stage="dedupe",
        origin=record.origin,
        provider=batch.provider,
        symbol=batch.symbol,
        ts=batch.ts,
        outcomes=verdict.outcomes,
        reasons=verdict.reasons,
        received_at=record.appended_at,
        finished_at=record.appended_at,
        correlation_id=batch.correlation_id,
    )


def forget_expired(event: Any, record: Record) -> None:
    """A few keys that nobody touched for long; a table can only be changed within an event."""
    oldest = record.timestamp_ms - lifetime_ms
    for key in walk.step(record.partition, lambda value: touched_ms(value) < oldest):
        current = seen.get(event, key)
        if current and touched_ms(current) < oldest:
            seen.put(event, key, None)
