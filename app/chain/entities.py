"""What labelled owners received and spent in a block, in exact integers. Pure.

Per transaction, d = received - spent of each owner, so that its own change nets out: d > 0 is inflow,
d < 0 outflow, its share of the fee included. What exchanges send one another in one transaction,
min(sum of their outflows, sum of their inflows), is taken out of both, split in proportion with the
largest remainders: no coin that stays with exchanges counts as having come in or gone out.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from heapq import nlargest

from app.chain.window import YEAR_BLOCKS
from app.labels.registry import Kind, Labels
from app.model.block import Tx
from app.model.features import EntityFlow

TOP = 10
"""Inflow transactions that are kept one by one."""


Key = tuple[str, str]
"""Entity and kind."""


class Ledger:
    """Adds up transactions, each once and with all prevouts."""

    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        self._flows: dict[Key, EntityFlow] = {}
        self._keys: dict[int, Key] = {}
        """By index of the owner: owners of one name and kind are one, whatever the labels' sources."""
        self._exchange_inflows: list[int] = []

    def add(self, tx: Tx, height: int, owners: AbstractSet[str | None]) -> int:
        """Add a transaction of a block at `height`; `owners` are its inputs' addresses.

        Returns the value (sat) that went to other addresses of owners who have an input in it.
        """
        nets: dict[Key, int] = {}
        self._spend(tx, height, nets)
        spenders, returned = set(nets), 0
        for output in tx.vout:
            address = output.scriptPubKey.address
            key = self._key(address)
            if key is None:
                continue
            value = round(output.value * 1e8)
            self._flows[key].received_sat += value
            nets[key] = nets.get(key, 0) + value
            if key in spenders and address not in owners:
                returned += value
        self._settle(nets)
        return returned

    def result(self) -> list[EntityFlow]:
        """Flows of all owners that took part, by name and kind."""
        return [self._flows[key] for key in sorted(self._flows)]

    def top_exchange_inflows(self) -> list[int]:
        """The largest inflows to exchanges, one a transaction, largest first."""
        return nlargest(TOP, self._exchange_inflows)

    def _spend(self, tx: Tx, height: int, nets: dict[Key, int]) -> None:
        for txin in tx.vin:
            prevout = txin.prevout
            if prevout is None or (key := self._key(prevout.scriptPubKey.address)) is None:
                continue
            value = round(prevout.value * 1e8)
            self._flows[key].spent_sat += value
            nets[key] = nets.get(key, 0) - value
            if prevout.height is not None and height - prevout.height > YEAR_BLOCKS:
                self._flows[key].old_spent_sat += value

    def _key(self, address: str | None) -> Key | None:
        index = self._labels.by_address.get(address) if address is not None else None
        if index is None:
            return None
        key = self._keys.get(index)
        return self._meet(index) if key is None else key

    def _meet(self, index: int) -> Key:
        owner = self._labels.owners[index]
        key = self._keys[index] = (owner.entity, owner.kind.value)
        new = EntityFlow(entity=key[0], kind=key[1], confidence=owner.confidence)
        flow = self._flows.setdefault(key, new)
        flow.confidence = min(flow.confidence, owner.confidence)
        return key

    def _settle(self, nets: dict[Key, int]) -> None:
        """Nets of one transaction -> inflow, outflow and what stayed among exchanges."""
        if len(nets) == 1:  # most transactions: nothing to share out
            self._settle_alone(*nets.items())
            return
        moved = [(self._flows[key], nets[key]) for key in sorted(nets)]
        ins = [(flow, net) for flow, net in moved if net > 0]
        outs = [(flow, -net) for flow, net in moved if net < 0]
        internal = min(_of_exchanges(ins), _of_exchanges(outs))
        for flow, value, inside in _split(ins, internal):
            flow.internal_in_sat += inside
            flow.inflow_sat += value - inside
            flow.inflow_txs += value > inside
        for flow, value, inside in _split(outs, internal):
            flow.internal_out_sat += inside
            flow.outflow_sat += value - inside
            flow.outflow_txs += value > inside
        if (entered := _of_exchanges(ins) - internal) > 0:
            self._exchange_inflows.append(entered)

    def _settle_alone(self, net: tuple[Key, int]) -> None:
        flow, value = self._flows[net[0]], net[1]
        if value > 0:
            flow.inflow_sat += value
            flow.inflow_txs += 1
            if flow.kind == Kind.EXCHANGE:
                self._exchange_inflows.append(value)
        elif value < 0:
            flow.outflow_sat -= value
            flow.outflow_txs += 1


def _of_exchanges(parts: Sequence[tuple[EntityFlow, int]]) -> int:
    return sum(value for flow, value in parts if flow.kind == Kind.EXCHANGE)


def _split(parts: Sequence[tuple[EntityFlow, int]], internal: int) -> list[tuple[EntityFlow, int, int]]:
    """Flow, value, and the part of it that stayed among exchanges."""
    exchanges = [value for flow, value in parts if flow.kind == Kind.EXCHANGE]
    inside = iter(apportion(internal, exchanges))
    return [(flow, value, next(inside) if flow.kind == Kind.EXCHANGE else 0) for flow, value in parts]


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """`total` in whole parts in proportion to `weights`, which are not negative: the largest remainders
    are rounded up, the first of equal ones. None gets more than its weight where `total` is at most
    their sum."""
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda place: -(total * weights[place] % whole))
    for place in order[: total - sum(parts)]:
        parts[place] += 1
    return parts
