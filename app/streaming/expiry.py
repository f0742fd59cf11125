"""Finding of expired keys: a slow walk over a partition's part of a Faust table, a few keys at a time."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

LOOKED_AT = 20
"""Keys a step."""
EVERY = 10
"""Records between two steps: a table of a million keys is walked once in half a million records."""


class Walk:
    """Where the walk over one table stands, by partition; it starts anew after the last key.

    It remembers keys, not iterators: an open iterator would keep the lock of a revoked partition's
    RocksDB.
    """

    def __init__(self, table: Any) -> None:
        self._table = table
        self._last: dict[int, bytes | None] = {}
        self._records = 0

    def step(self, partition: int, is_expired: Callable[[bytes], bool]) -> list[bytes]:
        """Keys among the next ones whose value says so; mostly none, as most records make no step."""
        self._records += 1
        if self._records % EVERY:
            return []
        found = list(islice(self._items(partition, self._last.get(partition)), LOOKED_AT))
        self._last[partition] = found[-1][0] if len(found) == LOOKED_AT else None
        return [key for key, value in found if is_expired(value)]

    def _items(self, partition: int, start: bytes | None) -> Iterable[tuple[bytes, bytes]]:
        """Items behind `start`, of one partition where the store keeps them apart (RocksDB)."""
        store = self._table.data
        if not hasattr(store, "_dbs"):
            keys = sorted(key for key in store.data if start is None or key > start)
            return ((key, store.data[key]) for key in keys)
        items = store._dbs[partition].items(from_key=start) if partition in store._dbs else ()
        return (item for item in items if item[0] not in (start, store.offset_key))
