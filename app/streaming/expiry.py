"""Finding of expired keys: a slow walk over a Faust table, a few keys at a time."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

LOOKED_AT = 20
"""Keys a step."""
EVERY = 10
"""Records between two steps: a table of a million keys is walked once in half a million records."""

Item = tuple[bytes, bytes]


class Walk:
    """Where the walk over one table stands; it starts anew after the last key.

    RocksDB keeps partitions apart, the memory store does not: there a key that is due waits for a
    record of its own partition, as a table can only be changed within one. `home` tells a key's
    partition.
    """

    def __init__(self, table: Any, home: Callable[[bytes], int]) -> None:
        self._table = table
        self._home = home
        self._records = 0
        self._last: dict[int, bytes | None] = {}
        self._keys: Iterator[bytes] = iter(())
        self._due: defaultdict[int, set[bytes]] = defaultdict(set)

    def step(self, partition: int, is_expired: Callable[[bytes], bool]) -> list[bytes]:
        """Keys of the partition whose value says so; mostly none, as most records make no step."""
        self._records += 1
        if self._records % EVERY:
            return []
        store = self._table.data
        if hasattr(store, "_dbs"):
            return [key for key, value in self._next_of(store, partition) if is_expired(value)]
        for key, value in self._next(store.data):
            if is_expired(value):
                self._due[self._home(key)].add(key)
        return list(self._due.pop(partition, ()))

    def _next_of(self, store: Any, partition: int) -> list[Item]:
        """It remembers keys, not iterators: an open one would keep a revoked partition's RocksDB locked."""
        start = self._last.get(partition)
        items = store._dbs[partition].items(from_key=start) if partition in store._dbs else ()
        found = list(islice((item for item in items if item[0] not in (start, store.offset_key)), LOOKED_AT))
        self._last[partition] = found[-1][0] if len(found) == LOOKED_AT else None
        return found

    def _next(self, content: dict[bytes, bytes]) -> list[Item]:
        found = list(islice(self._keys, LOOKED_AT))
        if len(found) < LOOKED_AT:
            self._keys = iter(list(content))
        return [(key, content[key]) for key in found if key in content]
