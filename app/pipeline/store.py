"""Chains in a Faust table: what is remembered of each block within reach, and sums of a year."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import msgspec

from app.chain.tracker import KEEP, Node, Patience
from app.pipeline.chain import Chain, Effects, Entry, Undo
from app.processors.history import YEAR, Past
from app.processors.run import Enabled


class Table(Protocol):
    """What of HeldState is needed here."""

    def get(self, event: Any, key: bytes) -> bytes | None:
        """The value of a key."""

    def put(self, event: Any, key: bytes, value: bytes | None, after: Any = None) -> None:
        """Write (None: delete) once `after` is done."""

    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """All that has been written under keys that begin so."""


class Tip(msgspec.Struct):
    """How far a chain is."""

    hash: str | None
    since_ms: int
    version: int
    resolved: int = 0
    """See Tracker.resolved."""


_encode = msgspec.json.Encoder().encode
_ENTRY = msgspec.json.Decoder(Entry)
_TIP = msgspec.json.Decoder(Tip)
_PAST = msgspec.json.Decoder(Past)
_UNDO = msgspec.json.Decoder(Undo)


class ChainStore:
    """Reads and writes chains; a chain's symbol holds no `|`.

    `<chain>|tip`, `<chain>|block|<height>|<hash>` within reach, `<chain>|past|<height>` for a year.
    """

    def __init__(self, table: Table, patience: Patience) -> None:
        self._table = table
        self._patience = patience

    def names(self) -> set[str]:
        """Chains that there are."""
        return {key.decode().partition("|")[0] for key, _ in self._table.items()}

    def load(self, event: Any, chain: str, processors: Sequence[Enabled]) -> Chain:
        """The chain as it was left; nothing of it may be on its way into the table."""
        found = [_ENTRY.decode(value) for _, value in self._table.items(_key(chain, "block|"))]
        entries = {entry.node.hash: entry for entry in found}
        known = self._table.get(event, _key(chain, "tip"))
        tip = _TIP.decode(known) if known else Tip(None, 0, 0)
        left = self._table.get(event, _key(chain, "undo"))
        if left is not None:
            self._take_back(event, chain, _UNDO.decode(left), tip, entries)
        return Chain(
            processors,
            list(entries.values()),
            tip=tip.hash,
            since_ms=tip.since_ms,
            resolved=tip.resolved,
            version=tip.version,
            older=lambda height: self._past(event, chain, height),
            patience=self._patience,
        )

    def save(self, event: Any, name: str, chain: Chain, effects: Effects, after: Any) -> None:
        """What an event has changed, once `after` is done; a crash may cut the writes anywhere.

        The tip's version makes the event complete. Until then it is done again after a crash: what changes
        several blocks is taken back before.
        """
        if effects.undo is not None:
            self._table.put(event, _key(name, "undo"), _encode(effects.undo), after)
        for height in {features.height for features in effects.retracted}:
            self._delete(event, _past_key(name, height), after)
        for past in effects.pasts:
            self._table.put(event, _past_key(name, past.height), _encode(_sums_only(past)), after)
            self._delete(event, _past_key(name, past.height - YEAR - KEEP), after)
        for entry in effects.entries:
            self._table.put(event, _block_key(name, entry.node), _encode(entry), after)
        tip = Tip(chain.tracker.tip, chain.tracker.since_ms, chain.version, chain.tracker.resolved)
        self._table.put(event, _key(name, "tip"), _encode(tip), after)
        for node in effects.forget:
            self._delete(event, _block_key(name, node), after)
        self._delete(event, _key(name, "undo"), after)

    def _take_back(self, event: Any, name: str, undo: Undo, tip: Tip, entries: dict[str, Entry]) -> None:
        """What is there of an event whose tip was not written; in the table too, before anything else is
        written: events before it are done again first, and another recovery may come between."""
        if tip.version < undo.version:
            tip.hash = undo.tip
            for place in undo.places:
                if place.hash in entries:
                    entries[place.hash].node = place
                    self._table.put(event, _block_key(name, place), _encode(entries[place.hash]))
            added = entries.pop(undo.added or "", None)
            if added is not None:
                self._delete(event, _block_key(name, added.node), None)
        self._delete(event, _key(name, "undo"), None)

    def _delete(self, event: Any, key: bytes, after: Any) -> None:
        if self._table.get(event, key) is not None:
            self._table.put(event, key, None, after)

    def _past(self, event: Any, chain: str, height: int) -> Past | None:
        found = self._table.get(event, _past_key(chain, height)) if height >= 0 else None
        return _PAST.decode(found) if found else None


def _sums_only(past: Past) -> Past:
    return Past(height=past.height, hash=past.hash, totals=past.totals, blocks=past.blocks)


def _key(chain: str, what: str) -> bytes:
    return f"{chain}|{what}".encode()


def _block_key(chain: str, node: Node) -> bytes:
    return _key(chain, f"block|{node.height:010}|{node.hash}")


def _past_key(chain: str, height: int) -> bytes:
    return _key(chain, f"past|{height:010}")
