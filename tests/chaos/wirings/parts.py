"""Taking parts out of app/streaming/delivery.py before the topology is imported."""

from typing import Any

from app.streaming.app import SafeApp
from app.streaming.delivery import Delivery, HeldState


def take_out(kind: type, *methods: str) -> None:
    """What the class inherits counts from now on: stock Faust's."""
    for method in methods:
        delattr(kind, method)


def put_in(kind: type, method: str, other: Any) -> None:
    """Another method in place of the class's own."""
    setattr(kind, method, other)


def without_failures() -> None:
    """As stock Faust: a send that failed is of no concern."""
    put_in(Delivery, "fail", lambda *_: None)


def without_hold() -> None:
    """As stock Faust: a table is written at once, the local database first; a rebalance waits for nobody."""

    def get(self: HeldState, _event: Any, key: bytes) -> Any:
        return self.table.get(key)

    def put(self: HeldState, _event: Any, key: bytes, value: bytes | None, after: Any = None) -> None:
        if value is None:
            self.table.pop(key, None)
        else:
            self.table[key] = value

    async def handled(_self: SafeApp, _timeout_s: float) -> None:
        return

    put_in(HeldState, "get", get)
    put_in(HeldState, "put", put)
    put_in(SafeApp, "handled", handled)
