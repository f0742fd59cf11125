"""A chain's signals: blocks in, in any order; batches and what is to be remembered out. No I/O.

The tracker says which blocks are the chain; here they are computed, each with the history of its own
branch, and what has left the chain is retracted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from app.chain.tracker import PATIENCE, Node, Patience, Plan, Tracker
from app.model.features import BlockFeatures
from app.model.signal import BATCH_DECODER, ENCODER, MAX_NAMES, Signal, SignalBatch
from app.processors.history import MOST, History, Past
from app.processors.run import Enabled, Ran, run_processors

NEAR = 2016
"""Heights below a given one among which the nearest known totals are looked for: behind a longer gap,
sums reach back to the chain's start."""


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is remembered of a block within reach."""

    node: Node
    features: BlockFeatures
    correlation_id: str | None = None
    past: Past | None = None
    """Set once it was computed."""
    failed: bool = False
    """A processor's signals are missing: once the block comes again, it is computed again."""
    sent: msgspec.Raw | msgspec.UnsetType = UNSET
    """The batch as it was last sent: what a retraction takes back, whatever code made it."""


class Undo(msgspec.Struct):
    """What takes back an event that a crash has left half written: so that it can be done again."""

    version: int
    """The event's: it is complete once the chain's own is as high."""
    tip: str | None
    added: str | None
    places: list[Node]


@dataclass(slots=True)
class Effects:
    """What an event leads to: first these batches are sent, then this is written."""

    batches: list[SignalBatch] = field(default_factory=list)
    """One a `ts`, or several where one would hold too many names."""
    entries: list[Entry] = field(default_factory=list)
    """To be written, behind `undo` and before the chain's tip."""
    pasts: list[Past] = field(default_factory=list)
    """Of the chain's computed blocks, for `sums`."""
    forget: list[Node] = field(default_factory=list)
    undo: "Undo | None" = None
    """Written first, where doing the event again would not do the same."""
    ran: list[tuple[BlockFeatures, Ran]] = field(default_factory=list)
    retracted: list[BlockFeatures] = field(default_factory=list)
    passed: int = 0
    """Heights that were given up."""
    too_late: bool = False


class Chain:
    """One chain within reach, in memory.

    `older` finds what is remembered of heights that are out of reach.
    """

    def __init__(
        self,
        processors: Sequence[Enabled],
        entries: Sequence[Entry] = (),
        *,
        tip: str | None = None,
        since_ms: int = 0,
        resolved: int = 0,
        version: int = 0,
        older: Callable[[int], Past | None] = lambda _: None,
        patience: Patience = PATIENCE,
    ) -> None:
        self._processors = processors
        self._older = older
        self.entries = {entry.node.hash: entry for entry in entries}
        nodes = (entry.node for entry in entries)
        self.tracker = Tracker(nodes, tip, since_ms, patience, resolved=resolved)
        self.version = version
        """The largest that was given out: later events must win."""

    def use(self, processors: Sequence[Enabled], patience: Patience) -> None:
        """From the next event on; what is in history stays as it was computed."""
        self._processors = processors
        self.tracker.patience = patience

    def arrive(
        self, features: BlockFeatures, *, now_ms: int, version: int, correlation_id: str | None = None
    ) -> Effects:
        """A block came. Raises ContractError for one that can't be of this chain."""
        self._raise_version(version)
        if features.isolated:
            return self._alone(features, correlation_id)
        tip, added = self.tracker.tip, None
        plan = self.tracker.arrive(features.height, features.hash, features.previousblockhash, now_ms)
        if plan.too_late:
            return self._out_of_reach(features, correlation_id)
        if features.hash not in self.entries and features.hash in self.tracker.nodes:
            added = features.hash
            node = self.tracker.nodes[features.hash]
            self.entries[features.hash] = Entry(node=node, features=features, correlation_id=correlation_id)
        failed = plan.again if plan.again and self.entries[plan.again].failed else None
        if failed:
            plan = self.tracker.redo(failed)
        effects = self._follow(plan, now_ms, Undo(self.version, tip, added, plan.undo))
        if failed:  # itself last: until that is written, it counts as failed and is computed again
            effects.entries.reverse()
        return effects

    def tick(self, *, now_ms: int, version: int) -> Effects:
        """Time has passed."""
        self._raise_version(version)
        tip = self.tracker.tip
        plan = self.tracker.tick(now_ms, version)
        return self._follow(plan, now_ms, Undo(self.version, tip, None, plan.undo))

    def give_up(self, *, version: int) -> Effects:
        """Don't wait: pass the lowest gap now."""
        self._raise_version(version)
        tip = self.tracker.tip
        plan = self.tracker.give_up()
        return self._follow(plan, self.tracker.since_ms, Undo(self.version, tip, None, plan.undo))

    def _raise_version(self, version: int) -> None:
        self.version = max(version, self.version + 1)

    def _out_of_reach(self, features: BlockFeatures, correlation_id: str | None) -> Effects:
        """A block far below the tip: by itself, and only where none of its height is known."""
        if self._older(features.height) is not None:
            return Effects()
        effects = self._alone(features, correlation_id)
        effects.too_late = True
        return effects

    def _alone(self, features: BlockFeatures, correlation_id: str | None) -> Effects:
        """A block out of context."""
        ran = run_processors(
            self._processors, features, None, version=self.version, correlation_id=correlation_id
        )
        return Effects(batches=[ran.batch], ran=[(features, ran)])

    def _follow(self, plan: Plan, now_ms: int, undo: Undo) -> Effects:
        effects = Effects(passed=plan.passed)
        batches: dict[str, SignalBatch] = {}
        when = datetime.fromtimestamp(now_ms / 1000, UTC)
        for hash_ in plan.retract:
            self._retract(self.entries[hash_], when, batches, effects)
        self._compute(plan.apply, when, batches, effects)
        if plan.again is not None and (sent := self.entries[plan.again].sent) is not UNSET:
            batch = self._again(BATCH_DECODER.decode(sent))
            batches.setdefault(batch.ts, batch)
        effects.batches = [part for batch in batches.values() for part in in_parts(batch)]
        effects.forget = self.tracker.forget()
        effects.entries = self._to_write(plan, effects.forget)
        # A block that is all that changes is known when it comes again; a tick would go on from it.
        alone = undo.added is not None and len(effects.entries) == 1
        effects.undo = undo if effects.entries and not alone else None
        for node in effects.forget:
            self.entries.pop(node.hash, None)
        return effects

    def _again(self, batch: SignalBatch) -> SignalBatch:
        for signal in batch.signals:
            signal.version = self.version
        return batch

    def _retract(
        self, entry: Entry, when: datetime, batches: dict[str, SignalBatch], effects: Effects
    ) -> None:
        effects.retracted.append(entry.features)
        if entry.sent is UNSET:
            return
        batch = BATCH_DECODER.decode(entry.sent)
        self._take_back(batch.signals, when)
        batches[batch.ts] = batch
        entry.sent = UNSET

    def _take_back(self, signals: Sequence[Signal], when: datetime) -> None:
        for signal in signals:
            signal.retracted_at = when
            signal.version = self.version

    def _compute(
        self, hashes: Sequence[str], when: datetime, batches: dict[str, SignalBatch], effects: Effects
    ) -> None:
        """Blocks of the chain in order, each with what is before it."""
        pasts = self._before(hashes[0]) if hashes else []
        for hash_ in hashes:
            entry = self.entries[hash_]
            ran = self._run(entry, pasts)
            pasts.append(ran.past)
            effects.pasts.append(ran.past)
            effects.ran.append((entry.features, ran))
            gone = self._gone(entry, ran.batch, batches.get(ran.batch.ts))
            entry.past, entry.failed = ran.past, bool(ran.failures)
            entry.sent = msgspec.Raw(ENCODER.encode(ran.batch))
            self._take_back(gone, when)
            ran.batch.signals += gone
            batches[ran.batch.ts] = ran.batch

    def _run(self, entry: Entry, pasts: Sequence[Past]) -> Ran:
        ran = run_processors(
            self._processors,
            entry.features,
            History(pasts[-MOST:], self._at(pasts), entry.node.missing),
            version=self.version,
            correlation_id=entry.correlation_id,
        )
        ran.past.missing = entry.node.missing
        return ran

    def _gone(self, entry: Entry, batch: SignalBatch, taken_back: SignalBatch | None) -> list[Signal]:
        """Signals that were sent under the batch's key before, and are none of it now."""
        names = {signal.name for signal in batch.signals}
        before = BATCH_DECODER.decode(entry.sent).signals if entry.sent is not UNSET else []
        others = taken_back.signals if taken_back is not None else []
        found = {signal.name: signal for signal in (*others, *before)}
        return [signal for name, signal in found.items() if name not in names]

    def _before(self, hash_: str) -> list[Past]:
        """What the blocks below have left, oldest first."""
        below = islice(self.tracker.path(hash_), 1, MOST + 1)
        found = [past for node in below if (past := self.entries[node.hash].past) is not None]
        node = self.tracker.nodes[hash_]
        if not found and node.link is not None and (past := self._at([])(node.height - 1)) is not None:
            return [past]  # its predecessor is out of reach: sums go on from it
        return found[::-1]

    def _at(self, pasts: Sequence[Past]) -> Callable[[int], Past | None]:
        def find(height: int) -> Past | None:
            for wanted in range(height, max(-1, height - NEAR), -1):
                if pasts and wanted >= pasts[0].height:
                    found = next((past for past in reversed(pasts) if past.height <= wanted), None)
                else:
                    found = self._older(wanted)
                if found is not None:
                    return found
            return None

        return find

    def _to_write(self, plan: Plan, forget: Sequence[Node]) -> list[Entry]:
        moved = (node.hash for node in (*plan.touched, *plan.undo))
        hashes = dict.fromkeys([*plan.retract, *plan.apply, *moved])
        forgotten = {node.hash for node in forget}
        return [self.entries[hash_] for hash_ in hashes if hash_ not in forgotten]


def in_parts(batch: SignalBatch) -> list[SignalBatch]:
    """A record holds so many names; with those of an orphan that had the same `ts`, there may be more."""
    if len(batch.signals) <= MAX_NAMES:
        return [batch]
    starts = range(0, len(batch.signals), MAX_NAMES)
    return [replace(batch, signals=batch.signals[start : start + MAX_NAMES]) for start in starts]
