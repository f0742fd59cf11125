"""blocks -> block-features -> signals.raw: extract anywhere, then process each chain in order."""

import asyncio
from collections import Counter
from functools import partial
from typing import Any

import msgspec
import structlog

from app.chain.extract import extract
from app.chain.order import Order, arrive, tick
from app.model.features import FEATURES_DECODER, BlockFeatures
from app.model.keys import batch_key, partition_of, version_of
from app.model.signal import ENCODER
from app.model.wire import decode
from app.processors.base import History, history_value, run_processors
from app.processors.builtin import builtin_processors
from app.streaming.app import create_app
from app.streaming.record import Record, make_headers

log = structlog.get_logger()

app = create_app("blocks")
config = app.settings
processors = builtin_processors()
failures: Counter[str] = Counter()

chains = app.held_table("chains", partitions=1)
"""`<chain>/order` -> Order, `<chain>/held/<height>` -> Held, `<chain>/window/<height>` -> float; JSON."""
KEEP_BLOCKS = 1000
"""Heights that stay in the window's table behind what it needs, for blocks that are sent again."""
TICK = "tick"


class Held(msgspec.Struct):
    """A block that waits for an earlier one, with what its own record said."""

    features: BlockFeatures
    version: int
    correlation_id: str | None


json = msgspec.json.Encoder()
ORDER, HELD = msgspec.json.Decoder(Order), msgspec.json.Decoder(Held)
waiting: set[str] = set()


@app.process("blocks")
async def extract_features(_event: Any, record: Record) -> None:
    """The expensive part: a block's JSON to its features, a few kB."""
    chain = record.headers.get("chain", b"BTC").decode()
    isolated = record.headers.get("isolated", b"") in (b"1", b"true")
    features = extract(record.value, chain=chain, isolated=isolated)
    headers = make_headers(record.correlation_id or f"block-{features.hash}")
    await app.forward("block-features", chain.encode(), json.encode(features), 0, headers)


@app.process("block-features")
async def process(event: Any, record: Record) -> None:
    """Blocks of a chain in order of height; isolated ones at once."""
    if TICK in record.headers:
        chain = (record.key or b"").decode()
        order = order_of(event, chain)
        await finish(event, chain, order, tick(order, record.timestamp_ms), None)
        return
    features = decode(FEATURES_DECODER, record.value, "block features")
    version = version_of(record.timestamp_ms, record.offset)
    block = Held(features, version, record.correlation_id)
    if features.isolated:
        await emit(block, None)
        return
    order = order_of(event, features.chain)
    ready = arrive(order, features.height, record.timestamp_ms)
    if not ready or ready[0] != features.height:
        put(event, features.chain, f"held/{features.height}", block)
    await finish(event, features.chain, order, ready, block)


async def finish(event: Any, chain: str, order: Order, ready: list[int], given: Held | None) -> None:
    """Emit what is ready, then remember how far the chain is, once all of it is acknowledged."""
    sends = []
    logs: dict[int, float] = {}
    for height in ready:
        block = given if given and given.features.height == height else held(event, chain, height)
        if block is not None:
            sends.append(await emit(block, history_of(event, chain, height, logs)))
            logs[height] = history_value(block.features)
    after = asyncio.gather(*sends) if sends else None
    for height, value in logs.items():
        put(event, chain, f"window/{height}", value, after)
        drop(event, chain, f"window/{height - config.window_blocks - KEEP_BLOCKS}", after)
        drop(event, chain, f"held/{height}", after)
    put(event, chain, "order", order, after)
    (waiting.add if order.held else waiting.discard)(chain)


async def emit(block: Held, history: History | None) -> "asyncio.Future[Any]":
    """The block's signals, as one batch. A processor that raises is left out."""
    features = block.features
    batch = run_processors(
        processors,
        features,
        history,
        version=block.version,
        correlation_id=block.correlation_id,
        on_error=partial(on_error, features),
    )
    key = batch_key(batch.provider, batch.symbol, batch.ts)
    log.info("block", chain=features.chain, height=features.height, signals=len(batch.signals),
             isolated=features.isolated)  # fmt: skip
    partition = partition_of(key, config.signal_partitions)
    headers = make_headers(block.correlation_id)
    return await app.forward("signals.raw", key, ENCODER.encode(batch), partition, headers)


def on_error(features: BlockFeatures, name: str, error: Exception) -> None:
    """Log and count what a processor raised."""
    failures[name] += 1
    log.error("processor failed", processor=name, chain=features.chain, height=features.height,
              failures=failures[name], exc_info=error)  # fmt: skip


def history_of(event: Any, chain: str, height: int, logs: dict[int, float]) -> History:
    """The window: what is known of the heights just below; `logs` are those of this very event."""
    found = []
    for earlier in range(max(0, height - config.window_blocks), height):
        if earlier in logs:
            found.append(logs[earlier])
        elif known := chains.get(event, name(chain, f"window/{earlier}")):
            found.append(float(known))
    return History(found)


def order_of(event: Any, chain: str) -> Order:
    """How far the chain is."""
    known = chains.get(event, name(chain, "order"))
    return ORDER.decode(known) if known else Order()


def held(event: Any, chain: str, height: int) -> Held | None:
    """A block that was held."""
    known = chains.get(event, name(chain, f"held/{height}"))
    return HELD.decode(known) if known else None


def put(event: Any, chain: str, what: str, value: Any, after: Any = None) -> None:
    """Write an entry of the chain's."""
    chains.put(event, name(chain, what), json.encode(value), after=after)


def drop(event: Any, chain: str, what: str, after: Any) -> None:
    """Delete an entry of the chain's, if there is one."""
    key = name(chain, what)
    if chains.get(event, key) is not None:
        chains.put(event, key, None, after=after)


def name(chain: str, what: str) -> bytes:
    """Key of an entry."""
    return f"{chain}/{what}".encode()


@chains.table.on_recover  # type: ignore[untyped-decorator]
async def resume() -> None:
    """Chains that had blocks held when the worker stopped."""
    for key, value in chains.table.items():
        chain, _, what = key.decode().rpartition("/")
        if what == "order" and ORDER.decode(value).held:
            waiting.add(chain)


@app.timer(interval=2.0)  # type: ignore[untyped-decorator]
async def remind() -> None:
    """A record that says only that time has passed: tables can't change outside an event."""
    for chain in tuple(waiting):
        headers = [*make_headers(None), (TICK, b"1")]
        await app.forward("block-features", chain.encode(), b"{}", 0, headers)
