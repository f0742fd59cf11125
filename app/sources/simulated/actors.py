"""Who takes part in a simulated economy: exchanges, miners, treasuries, and everybody else. Pure."""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from app.labels.owners import Kind
from app.sources.simulated.transactions import address_of, payout_address, somebody

OUTSIDE = "outside"
"""All people without a label, as if they were one; no label names it."""
SOURCE = "simulator"


class Actor(NamedTuple):
    """An entity, and the addresses it uses."""

    name: str
    kind: Kind
    addresses: tuple[str, ...]

    def address(self, rng: Random) -> str:
        """One of its addresses."""
        return rng.choice(self.addresses)


class Label(NamedTuple):
    """A row of labels in CSV, in the order of its columns."""

    address: str
    entity: str
    type: str
    source: str
    confidence: str


def _actor(name: str, kind: Kind, addresses: int) -> Actor:
    return Actor(name, kind, tuple(address_of(f"{name} {number}") for number in range(addresses)))


EXCHANGES = tuple(
    _actor(name, Kind.EXCHANGE, addresses)
    for name, addresses in (("Northgate", 300), ("Kestrel", 220), ("Bluewater", 150), ("Ostara", 60))
)
MINERS = tuple(
    Actor(name, Kind.MINER, (payout_address(number), address_of(f"{name} wallet")))
    for number, name in enumerate(
        ("Foundry USA", "AntPool", "ViaBTC", "F2Pool", "MARA Pool", "SpiderPool", "Luxor", "Braiins Pool",
         "SBI Crypto", "Quiet Pool")
    )
)  # fmt: skip
"""In the order of POOLS: the first address is where the coinbase pays."""
TREASURIES = (_actor("Granite Holdings", Kind.TREASURY, 12), _actor("Meridian Fund", Kind.TREASURY, 8))
LABELLED = (*EXCHANGES, *MINERS, *TREASURIES)
BY_NAME = {actor.name: actor for actor in LABELLED}
IS_EXCHANGE = frozenset(actor.name for actor in EXCHANGES)


def address_for(rng: Random, name: str) -> str:
    """An address of `name`, or of anybody for OUTSIDE."""
    return somebody(rng) if name == OUTSIDE else BY_NAME[name].address(rng)


def labels() -> list[Label]:
    """Every address of every labelled actor; an exchange's first ten are surer than its others."""
    return [row for actor in LABELLED for row in _rows(actor)]


def _rows(actor: Actor) -> Sequence[Label]:
    return [
        Label(address, actor.name, actor.kind.value, SOURCE, "0.95" if number < 10 else "0.8")
        for number, address in enumerate(actor.addresses)
    ]
