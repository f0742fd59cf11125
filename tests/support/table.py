"""What a Faust table holds, as a dict, for tests of what is written to it."""

from collections.abc import Iterable, Iterator
from typing import Any


class Table:
    """A dict; `log` has the writes since it was emptied."""

    def __init__(self) -> None:
        self.content: dict[bytes, bytes] = {}
        self.log: list[tuple[bytes, bytes | None]] = []

    def get(self, _event: Any, key: bytes) -> bytes | None:
        return self.content.get(key)

    def put(self, _event: Any, key: bytes, value: bytes | None, after: Any = None) -> None:
        self.log.append((key, value))
        self.apply([(key, value)])

    def apply(self, writes: Iterable[tuple[bytes, bytes | None]]) -> None:
        for key, value in writes:
            if value is None:
                self.content.pop(key, None)
            else:
                self.content[key] = value

    def items(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        return iter([item for item in sorted(self.content.items()) if item[0].startswith(prefix)])
