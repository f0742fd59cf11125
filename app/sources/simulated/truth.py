"""What really happened in a simulated block, as it was decided when its transactions were made. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from app.sources.simulated.actors import IS_EXCHANGE, OUTSIDE


class TxTruth(NamedTuple):
    """One transaction; the deltas and the fee add up to 0, or, in a coinbase, to what it claims."""

    txid: str
    purpose: str
    """Name of the transfer that it was made for (`app/sources/simulated/transfers.py`), or `coinbase`."""
    deltas_sat: Mapping[str, int]
    """Entity -> what it received minus what it spent, its share of the fee included. All who have an
    input or an output are in it, OUTSIDE for those without a label."""
    fee_sat: int
    old_spent_sat: Mapping[str, int]
    """Entity -> value of its inputs that are older than 365 days of 144 blocks."""


@dataclass(slots=True)
class EntityTruth:
    """One entity in one block (sat); coins that stay among exchanges are in `internal_*` alone."""

    balance_change_sat: int = 0
    inflow_sat: int = 0
    """Received from outside: sum over transactions of what is gained, without what is internal."""
    outflow_sat: int = 0
    """Sent outside: of what is lost, the fee included, without what is internal."""
    internal_in_sat: int = 0
    internal_out_sat: int = 0
    old_spent_sat: int = 0


class ExchangeTruth(NamedTuple):
    """All exchanges of a block together (sat)."""

    inflow_sat: int
    outflow_sat: int
    internal_sat: int


@dataclass(frozen=True, slots=True)
class BlockTruth:
    """A block; its transactions in their order, the coinbase first."""

    height: int
    hash: str
    subsidy_sat: int
    transactions: tuple[TxTruth, ...]
    balances_sat: Mapping[str, int]
    """Entity -> what it holds after this block, OUTSIDE included."""
    entities: dict[str, EntityTruth] = field(init=False)
    """All that had an input or an output, by name, OUTSIDE left out."""

    def __post_init__(self) -> None:
        found: dict[str, EntityTruth] = {}
        for tx in self.transactions:
            _add(found, tx)
        object.__setattr__(self, "entities", dict(sorted(found.items())))

    @property
    def fee_sat(self) -> int:
        """Of all transactions."""
        return sum(tx.fee_sat for tx in self.transactions)

    @property
    def exchanges(self) -> ExchangeTruth:
        """Flows of all exchanges together, without what they sent one another."""
        flows = [flow for name, flow in self.entities.items() if name in IS_EXCHANGE]
        return ExchangeTruth(
            sum(flow.inflow_sat for flow in flows),
            sum(flow.outflow_sat for flow in flows),
            sum(flow.internal_in_sat for flow in flows),
        )


def _add(found: dict[str, EntityTruth], tx: TxTruth) -> None:
    deltas = {name: delta for name, delta in sorted(tx.deltas_sat.items()) if name != OUTSIDE}
    gained = {name: delta for name, delta in deltas.items() if delta > 0}
    lost = {name: -delta for name, delta in deltas.items() if delta < 0}
    both = min(_of_exchanges(gained), _of_exchanges(lost))
    inside_in, inside_out = _shares(both, gained), _shares(both, lost)
    for name, delta in deltas.items():
        flow = found.setdefault(name, EntityTruth())
        flow.balance_change_sat += delta
        flow.internal_in_sat += inside_in.get(name, 0)
        flow.inflow_sat += gained.get(name, 0) - inside_in.get(name, 0)
        flow.internal_out_sat += inside_out.get(name, 0)
        flow.outflow_sat += lost.get(name, 0) - inside_out.get(name, 0)
        flow.old_spent_sat += tx.old_spent_sat.get(name, 0)


def _of_exchanges(parts: Mapping[str, int]) -> int:
    return sum(value for name, value in parts.items() if name in IS_EXCHANGE)


def _shares(total: int, parts: Mapping[str, int]) -> dict[str, int]:
    """`total` among the exchanges of `parts`, in proportion, by largest remainders, then by name."""
    weights = {name: value for name, value in parts.items() if name in IS_EXCHANGE}
    if not total:
        return {}
    exact = {name: divmod(total * value, sum(weights.values())) for name, value in weights.items()}
    shares = {name: whole for name, (whole, _) in exact.items()}
    left = total - sum(shares.values())
    for name in sorted(exact, key=lambda name: (-exact[name][1], name))[:left]:
        shares[name] += 1
    return shares
