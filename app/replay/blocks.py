"""The `blocks` topic of one chain: what is there, and which of it is the chain."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import structlog

from app.chain.extract import extract
from app.chain.tracker import Tracker
from app.errors import ContractError
from app.labels.registry import Labels
from app.model.block import Hash, Height
from app.model.keys import block_ts
from app.model.wire import decode
from app.query.kafka import Reader
from app.replay.asked import Range
from app.replay.live import LiveChain
from app.replay.spool import Spool
from app.replay.watch import Watch
from app.streaming.record import Record, chain_of, is_isolated

log = structlog.get_logger()


class _Header(msgspec.Struct):
    hash: Hash
    height: Height
    time: int
    previousblockhash: Hash | None = None


_HEADER = msgspec.json.Decoder(_Header)


@dataclass(frozen=True, slots=True)
class Found:
    """A block on the topic, by its first record."""

    chain: str
    height: int
    hash: str
    parent: str | None
    ts: str
    """Of its signals."""
    isolated: bool
    timestamp_ms: int
    """The broker's, and ..."""
    offset: int
    """... the offset of the record."""
    correlation_id: str
    asked: bool
    """Whether any of its records lies in the range that was asked for."""


@dataclass(slots=True)
class Blocks:
    """What was read."""

    by_hash: dict[str, Found] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)
    """Records of other chains."""
    unreadable: int = 0
    """Records that the pipeline has made dead letters of."""
    expired: bool = False
    """Whether the topic has lost records to its retention."""

    def add(self, found: Found) -> None:
        """A record; of several of one block the first counts, unless only a later one was asked for."""
        held = self.by_hash.get(found.hash)
        if held is None or (held.isolated and not found.isolated) or (found.asked and not held.asked):
            self.by_hash[found.hash] = found


class BlockReader:
    """Reads blocks and keeps their features."""

    def __init__(self, reader: Reader, chain: str, labels: Labels, spool: Spool) -> None:
        self._reader = reader
        self._chain = chain
        self._labels = labels
        self._spool = spool

    async def read(
        self, ranges: Sequence[Range], asked: Sequence[Range], heights: range | None, watch: Watch
    ) -> Blocks:
        """All of the topic: `asked` says which of it to compute, `heights` which features to keep (None:
        all). Raises Transient."""
        found = Blocks(expired=any(span.first > 0 for span in ranges))
        for span, wanted in zip(ranges, asked, strict=True):
            async for record in self._reader.read(span.tp, span.first, span.end):
                within = wanted.first <= record.offset < wanted.end
                self._take(record, found, heights, asked=within)
                watch.advance(1)
                await asyncio.sleep(0)  # extracting is not waiting: signals and heartbeats come in here
        return found

    def _take(self, record: Record, found: Blocks, heights: range | None, *, asked: bool) -> None:
        if chain_of(record) != self._chain:
            found.others[chain_of(record)] += 1
            return
        try:
            header = decode(_HEADER, record.value, "block")
            if heights is not None and header.height not in heights:
                found.add(_found(record, header, asked=False))
                return
            if header.hash not in found.by_hash:
                isolated = is_isolated(record)
                features = extract(record.value, chain=self._chain, isolated=isolated, labels=self._labels)
                self._spool.add_block(features)
            found.add(_found(record, header, asked=asked))
        except ContractError as error:
            log.debug("block left out", origin=record.origin, reason=str(error))
            found.unreadable += 1


def _found(record: Record, header: _Header, *, asked: bool) -> Found:
    return Found(
        chain=chain_of(record),
        height=header.height,
        hash=header.hash,
        parent=header.previousblockhash,
        ts=block_ts(header.time, header.height),
        isolated=is_isolated(record),
        timestamp_ms=record.timestamp_ms,
        offset=record.offset,
        correlation_id=record.correlation_id or f"block-{header.hash}",
        asked=asked,
    )


def chain_in(blocks: Blocks, live: LiveChain) -> list[Found]:
    """The chain's blocks that are there, lowest first; isolated ones are none of it.

    By what the worker remembers; where it remembers nothing, as it would decide itself. What it has not
    computed yet is left to it.
    """
    linked = [block for block in blocks.by_hash.values() if not block.isolated]
    if not live.known:
        return _longest(linked)
    old = [block for block in linked if live.is_out_of_reach(block.height)]
    chain = [block for block in linked if live.is_chain(block.height, block.hash)]
    return sorted([*_longest(old), *chain], key=lambda block: block.height)


def _longest(blocks: Sequence[Found]) -> list[Found]:
    """As the tracker decides; lowest first, which spares it to move blocks."""
    tracker = Tracker()
    by_hash = {block.hash: block for block in blocks}
    for block in sorted(blocks, key=lambda b: (b.height, b.timestamp_ms, b.offset)):
        try:
            tracker.arrive(block.height, block.hash, block.parent, block.timestamp_ms)
        except ContractError:  # no block of this chain
            continue
    while tracker.waiting:
        tracker.give_up()
    return [by_hash[node.hash] for node in tracker.path()][::-1]
