"""signals + signals.persisted -> signals.settled: which record every required sink has answered for."""

from typing import Any

import msgspec
import structlog

from app.errors import ContractError
from app.model.receipt import RECEIPT_DECODER
from app.model.signal import BATCH_DECODER
from app.model.wire import decode
from app.outstanding import Changed, Entry, Progress, advance, expect, is_repeat, settled, take
from app.streaming.app import create_app
from app.streaming.record import ORIGIN_OFFSET, REQUIRED_SINKS, Record, make_headers

log = structlog.get_logger()

app = create_app("receipts")
config = app.settings
signals = config.topic("signals")

outstanding = app.held_table("outstanding", config.signal_partitions)
"""`<partition>/meta` -> Progress, `<partition>/<offset>` of `signals` -> Entry; both JSON."""
ENCODER = msgspec.json.Encoder()
mended: set[int] = set()
"""Partitions whose last event is known to be whole since the table was recovered."""
PROGRESS, ENTRY = msgspec.json.Decoder(Progress), msgspec.json.Decoder(Entry)


@app.process("signals", "signals.persisted")
async def join(event: Any, record: Record) -> None:
    """A signal record opens an entry, receipts fill it; partition and offset bring them together."""
    await handle(event, record)


async def handle(event: Any, record: Record) -> None:
    """One record, whole."""
    known = outstanding.get(event, meta_key(record.partition))
    progress = PROGRESS.decode(known) if known else Progress()
    mend(event, record.partition, progress)
    if record.topic == signals:
        await on_signals(event, record, progress)
    else:
        await on_receipt(event, record, progress)


async def on_signals(event: Any, record: Record, progress: Progress) -> None:
    """What must be stored, by whom."""
    origin = record.header_int(ORIGIN_OFFSET)
    repeat = is_repeat(progress, record.offset, origin)
    if record.offset <= progress.last_offset:
        return
    advance(progress, record.offset, origin)
    if repeat:
        progress.changed = None
        save(event, record.partition, progress)
        return
    entry = entry_of(event, record.partition, record.offset) or Entry()
    batch = decode(BATCH_DECODER, record.value, "signal batch")
    expect(entry, progress, batch, record.origin, record.appended_at, required_sinks(record))
    await close_or_keep(event, record, record.offset, entry, progress)


def required_sinks(record: Record) -> list[str]:
    """Who has to store it, says dedupe. Raises ContractError for what is no text."""
    found = record.headers.get(REQUIRED_SINKS) or b""
    try:
        return [name for name in found.decode().split(",") if name]
    except UnicodeDecodeError:
        raise ContractError(f"header `{REQUIRED_SINKS}` is {found[:40]!r}: send sinks' names") from None


async def on_receipt(event: Any, record: Record, progress: Progress) -> None:
    """A sink's answer; dedupe's own are not waited for."""
    receipt = decode(RECEIPT_DECODER, record.value, "receipt")
    if receipt.stage == "dedupe":
        return
    if receipt.origin.topic != signals or receipt.origin.partition != record.partition:
        raise ContractError(
            f"receipt of {receipt.stage} for {receipt.origin} in partition {record.partition} of "
            f"{record.topic}: receipts go to the partition of the record on {signals} they answer"
        )
    entry = entry_of(event, record.partition, receipt.origin.offset)
    if entry is None and receipt.origin.offset <= progress.last_offset:
        log.debug("receipt for what is settled", stage=receipt.stage, origin=receipt.origin.offset)
        return
    entry = entry or Entry()
    if take(entry, progress, receipt):
        await close_or_keep(event, record, receipt.origin.offset, entry, progress)


async def close_or_keep(event: Any, record: Record, offset: int, entry: Entry, progress: Progress) -> None:
    """Announce what is settled and forget it, once it is announced; keep what is not."""
    done = settled(entry)
    sent = None
    if done is not None:
        headers = make_headers(done.correlation_id)
        sent = await app.forward(
            "signals.settled", record.key, ENCODER.encode(done), record.partition, headers
        )
    progress.changed = Changed(offset, entry if done is None else None)
    save(event, record.partition, progress, after=sent)
    apply(event, record.partition, progress.changed, after=sent)


def apply(event: Any, partition: int, changed: Changed, after: Any = None) -> None:
    """The entry as the event has left it."""
    value = None if changed.entry is None else ENCODER.encode(changed.entry)
    outstanding.put(event, entry_key(partition, changed.offset), value, after=after)


def mend(event: Any, partition: int, progress: Progress) -> None:
    """Finish the event that a crash has left half written: its Progress is there, maybe its entry is not."""
    if partition not in mended and progress.changed is not None:
        apply(event, partition, progress.changed)
    mended.add(partition)


@outstanding.table.on_recover  # type: ignore[untyped-decorator]
async def start_anew() -> None:
    """The table may be another than before."""
    mended.clear()


def save(event: Any, partition: int, progress: Progress, after: Any = None) -> None:
    """Remember how far this partition is."""
    outstanding.put(event, meta_key(partition), ENCODER.encode(progress), after=after)


def entry_of(event: Any, partition: int, offset: int) -> Entry | None:
    """What is known of a record."""
    known = outstanding.get(event, entry_key(partition, offset))
    return ENTRY.decode(known) if known else None


def meta_key(partition: int) -> bytes:
    """Keys carry the partition: Faust's memory store keeps those of all partitions in one dict."""
    return b"%d/meta" % partition


def entry_key(partition: int, offset: int) -> bytes:
    """Key of the entry for a record of `signals`."""
    return b"%d/%d" % (partition, offset)
