"""Snapshots of a node's mempool: a fee histogram weighted by vsize, and fee estimates."""

import asyncio
from bisect import bisect_right
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
import structlog

from app.config import Settings
from app.errors import NodeRefused, Transient
from app.model.block import Btc, satoshi
from app.model.mempool import FEERATE_BINS, MEMPOOL_ENCODER, FeerateBin, MempoolSnapshot
from app.sources.core_rpc import CoreRpc
from app.sources.ingest import BlockProducer
from app.streaming.record import make_headers

log = structlog.get_logger()

ESTIMATE_TARGETS = (1, 3, 6, 144)
"""Blocks; Bitcoin Core answers for 1 what it answers for 2."""


class Fees(msgspec.Struct, gc=False):
    """Of an entry; BTC."""

    base: Btc


class Entry(msgspec.Struct, gc=False):
    """A transaction in `getrawmempool true`; `vsize` in vB."""

    vsize: int
    fees: Fees


class MempoolInfo(msgspec.Struct):
    """Of `getmempoolinfo`; BTC per 1000 vB."""

    mempoolminfee: float
    loaded: bool = True


class Estimate(msgspec.Struct):
    """Of `estimatesmartfee`; no rate where the node has seen too little."""

    feerate: float | None = None


def histogram_of(entries: Iterable[tuple[int, int]]) -> list[FeerateBin]:
    """Bins of `(vsize, fee_sat)`, ascending, those that hold something. Pure.

    Each transaction by its own fee rate, fee / vsize: ancestors and children that pay for one another are
    not counted together.
    """
    sums: dict[int, tuple[int, int]] = {}
    for vsize, fee_sat in entries:
        number = bisect_right(FEERATE_BINS, fee_sat / vsize) - 1
        vsizes, fees = sums.get(number, (0, 0))
        sums[number] = (vsizes + vsize, fees + fee_sat)
    return [FeerateBin(FEERATE_BINS[number], *sums[number]) for number in sorted(sums)]


def sat_per_vb(btc_per_kvb: float) -> float:
    """A fee rate as Bitcoin Core writes it in sat/vB, exact to its own grain of 0.001."""
    return satoshi(btc_per_kvb) / 1000


async def take_snapshot(rpc: CoreRpc, chain: str) -> MempoolSnapshot:
    """The mempool now. Raises Transient while the node still loads it from disk."""
    info = await rpc.call("getmempoolinfo", result=MempoolInfo)
    if not info.loaded:
        raise Transient("the node still loads its mempool from disk: the next snapshot will tell more")
    entries = await rpc.call("getrawmempool", True, result=dict[str, Entry])
    estimates = await rpc.batch("estimatesmartfee", [[target] for target in ESTIMATE_TARGETS], Estimate)
    pairs = [(entry.vsize, satoshi(entry.fees.base)) for entry in entries.values()]
    return MempoolSnapshot(
        chain=chain,
        time=datetime.now(UTC),
        tx_count=len(pairs),
        vsize=sum(vsize for vsize, _ in pairs),
        total_fee_sat=sum(fee for _, fee in pairs),
        min_fee=sat_per_vb(info.mempoolminfee),
        histogram=await asyncio.to_thread(histogram_of, pairs),
        estimates={
            str(target): sat_per_vb(found.feerate)
            for target, found in zip(ESTIMATE_TARGETS, estimates, strict=True)
            if found.feerate is not None
        },
    )


async def send_snapshots(
    settings: Settings, rpc: CoreRpc, producer: BlockProducer, chain: str, every_s: float
) -> None:
    """A snapshot every `every_s` onto `mempool` for ever; one that can't be had is left out, and logged."""
    clock = asyncio.get_running_loop().time
    while True:
        began = clock()
        try:
            snapshot = await take_snapshot(rpc, chain)
            value = MEMPOOL_ENCODER.encode(snapshot)
            headers = make_headers(None, chain=chain)
            await producer.publish(settings.topic("mempool"), chain.encode(), value, headers, "a snapshot")
        except (Transient, NodeRefused) as error:
            log.warning("no mempool snapshot", chain=chain, reason=str(error))
        await asyncio.sleep(max(0.0, began + every_s - clock()))
