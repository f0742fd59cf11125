"""blocks -> block-features -> signals.raw: extract anywhere, then each chain in order.

And mempool -> signals.raw, a snapshot at a time.
"""

import asyncio
from typing import Any

import msgspec
import structlog

from app.chain.extract import extract
from app.errors import ContractError
from app.model.block_request import MAX_REQUESTED, BlockRequest
from app.model.features import BlockFeatures
from app.model.features_record import read_chain, read_features
from app.model.keys import batch_key, partition_of, version_of
from app.model.mempool import MEMPOOL_DECODER
from app.model.signal import ENCODER, SignalBatch
from app.model.wire import decode
from app.pipeline.chain import Chain, Effects
from app.pipeline.emission import emitted, event_version
from app.pipeline.report import report
from app.pipeline.rules import Rules
from app.pipeline.snapshots import snapshot_batch
from app.pipeline.store import ChainStore
from app.streaming.app import create_app
from app.streaming.record import TICK, Record, chain_of, is_isolated, make_headers

log = structlog.get_logger()

app = create_app("blocks")
config = app.settings
rules = Rules(config)
app.reloader.use(rules.prepare)
app.reloader.look_after(rules.look_at_labels)

table = app.held_table("chains", partitions=1)
store = ChainStore(table, rules.patience)
chains: dict[str, Chain] = {}
"""In memory what the table holds; emptied whenever the partition may have been somebody else's."""
unread: set[str] = set()
"""Chains of a table that was just recovered: a tick has each of them read."""
acknowledged: dict[str, asyncio.Future[Any]] = {}
"""By chain, the sends of the last event: the table is written in the order of events."""
ASK_AFTER_MS = 2000
"""A block that waits for so long has its parent asked for, ..."""
ASK_EVERY_MS = 10_000
"""... and again."""
asked: dict[BlockRequest, int] = {}
"""When (the broker's time) each gap was last asked for."""

json = msgspec.json.Encoder()


@app.process("blocks")
async def extract_features(_event: Any, record: Record) -> None:
    """The expensive part: a block's JSON to its features, a few kB."""
    features = extract(
        record.value, chain=chain_of(record), isolated=is_isolated(record), labels=rules.labels
    )
    headers = make_headers(record.correlation_id or f"block-{features.hash}")
    await app.forward("block-features", features.chain.encode(), json.encode(features), 0, headers)


@app.process("mempool")
async def process_snapshot(_event: Any, record: Record) -> None:
    """What waits for a block, between blocks."""
    snapshot = decode(MEMPOOL_DECODER, record.value, "mempool snapshot")
    version = version_of(record.timestamp_ms, record.offset)
    correlation_id = record.correlation_id or f"mempool-{record.offset}"
    await send(snapshot_batch(snapshot, version=version, correlation_id=correlation_id))


@app.process("block-features")
async def process(event: Any, record: Record) -> None:
    """Blocks of a chain, in whatever order they come; and ticks, which say that time has passed."""
    tick = TICK in record.headers
    features = None if tick else read_features(record.value)
    name = features.chain if features else read_chain(record.key)
    try:
        chain = await loaded(event, name)
        await carry_out(event, name, chain, take(chain, features, record))
    except ContractError:  # a block that was refused has changed nothing
        raise
    except BaseException:
        chains.pop(name, None)  # may be ahead of the table
        raise
    if tick:
        await ask_for_missing(name, chain, record.timestamp_ms)
        if chain.tracker.resolved:
            await table.settled()  # remembered: whatever happens now, the next tick does the same
            await send_tick(name)


def take(chain: Chain, features: BlockFeatures | None, record: Record) -> Effects:
    """What a block leads to, or (None) a tick."""
    now_ms, version = record.timestamp_ms, event_version(record, config.versions_from)
    if features is None:
        return chain.tick(now_ms=now_ms, version=version)
    return chain.arrive(features, now_ms=now_ms, version=version, correlation_id=record.correlation_id)


async def loaded(event: Any, name: str) -> Chain:
    """The chain, out of the table when it is not in memory; by the rules as they are now."""
    if name not in chains:
        await table.settled()
        chains[name] = store.load(event, name, rules.processors)
    chains[name].use(rules.processors, rules.patience)
    return chains[name]


async def carry_out(event: Any, name: str, chain: Chain, effects: Effects) -> None:
    """Send, and remember once all of it is acknowledged."""
    report(name, effects)
    sends = [await send(batch) for batch in emitted(effects.batches, config.emit_from_height)]
    if before := acknowledged.get(name):
        sends.append(before)
    acknowledged[name] = after = asyncio.ensure_future(all_of(sends))
    store.save(event, name, chain, effects, after)


async def all_of(sends: list["asyncio.Future[Any]"]) -> None:
    """Keeps no results: each of these futures waits for the one before it."""
    await asyncio.gather(*sends)


async def send(batch: SignalBatch) -> "asyncio.Future[Any]":
    """A block's batch to `signals.raw`."""
    key = batch_key(batch.provider, batch.symbol, batch.ts)
    partition = partition_of(key, config.signal_partitions)
    headers = make_headers(batch.correlation_id)
    return await app.forward("signals.raw", key, ENCODER.encode(batch), partition, headers)


async def ask_for_missing(name: str, chain: Chain, now_ms: int) -> None:
    """Sources that follow the chain answer with the blocks."""
    if now_ms - chain.tracker.since_ms < ASK_AFTER_MS:
        return
    for old in [request for request, when_ms in asked.items() if now_ms - when_ms >= ASK_EVERY_MS]:
        del asked[old]
    for gap in chain.tracker.wanted():
        first = max(gap.first, gap.last - MAX_REQUESTED + 1)  # the rest once these are there
        request = BlockRequest(name, first, gap.last, gap.hash)
        if request in asked:
            continue
        asked[request] = now_ms
        await app.forward("block-requests", name.encode(), json.encode(request), 0, make_headers(None))
        log.info("blocks asked for", chain=name, first=first, last=gap.last)


@table.table.on_recover  # type: ignore[untyped-decorator]
async def start_anew() -> None:
    """The table may be another than before."""
    chains.clear()
    acknowledged.clear()
    unread.update(store.names())


@app.timer(interval=2.0)  # type: ignore[untyped-decorator]
async def remind() -> None:
    """A record that says only that time has passed: tables can't change outside an event."""
    names = {name for name, chain in chains.items() if chain.tracker.waiting} | unread
    unread.clear()
    for name in names:
        await send_tick(name)


async def send_tick(name: str) -> None:
    """For one chain."""
    await app.forward("block-features", name.encode(), b"{}", 0, [*make_headers(None), (TICK, b"1")])
