"""Blocks of one chain in order of height, whatever order the partitions of `blocks` bring them in.

Pure: from what is known and a height to what is processed now. A block above the next height is held;
a gap is passed once too many blocks wait behind it, or once no block has come for a while. A chain begins
at height 0, or in the same way at the lowest block that has come: of a backlog, that is rarely the first.
"""

import msgspec

MAX_HELD = 2000
"""A backlog is read partition by partition: many blocks may come before one that is in another."""
GAP_WAIT_MS = 10_000
"""Without a block of the chain; while blocks come, the missing one may be among them."""


class Order(msgspec.Struct, omit_defaults=True):
    """How far a chain is."""

    tip: int | None = None
    """Highest height processed; None: the chain has not begun."""
    held: list[int] = []
    """Heights that wait for an earlier one, ascending."""
    since_ms: int = 0
    """When the last block came (the broker's time)."""


def arrive(order: Order, height: int, now_ms: int) -> list[int]:
    """Heights to process now, in this order, as a block arrives; empty: it is held."""
    order.since_ms = now_ms
    tip = -1 if order.tip is None else order.tip
    if height <= tip + 1:
        order.tip = max(height, tip)
        return [height, *_follow(order)]
    if height not in order.held:
        order.held = sorted([*order.held, height])
    return _pass_gap(order) if len(order.held) > MAX_HELD else []


def tick(order: Order, now_ms: int) -> list[int]:
    """Heights to process now because nothing has come for long enough."""
    if order.held and now_ms - order.since_ms >= GAP_WAIT_MS:
        return _pass_gap(order)
    return []


def _pass_gap(order: Order) -> list[int]:
    order.tip = order.held[0] - 1
    return _follow(order)


def _follow(order: Order) -> list[int]:
    """Held heights that follow the tip without a gap."""
    ready = []
    while order.held and order.tip is not None and order.held[0] <= order.tip + 1:
        order.tip = max(order.tip, order.held.pop(0))
        ready.append(order.tip)
    return ready
