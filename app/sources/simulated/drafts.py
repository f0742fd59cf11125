"""A transaction in the making: who gives up how much, who is given how much, and the books of it. Pure.

What somebody gives up is decided first and coins of at least that much are found for it; the rest of the
coins returns as change. The books know of the decision alone, never of coins or change.
"""

from random import Random
from typing import NamedTuple

from app.model.block import SATOSHI_PER_BTC
from app.sources.simulated.actors import OUTSIDE, address_for
from app.sources.simulated.coins import YEAR_BLOCKS, Coin, Ledger
from app.sources.simulated.transactions import Json, output
from app.sources.simulated.truth import TxTruth

SAME_ADDRESS_SHARE = 0.4
"""How often change returns to an address that was spent from."""
RAW_INPUT, RAW_OUTPUT, RAW_REST = 272, 124, 42
"""Weight units of an input, an output, and what every transaction has."""


class Paid(NamedTuple):
    """An output to be: `owner` gets `value_sat` at `address`; None where nobody can spend it."""

    owner: str
    value_sat: int
    address: str | None


class Draft:
    """A transaction at `height`, made of the coins in `ledger`."""

    def __init__(self, rng: Random, ledger: Ledger, height: int) -> None:
        self.rng = rng
        self.ledger = ledger
        self.height = height
        self.inputs: list[Coin] = []
        self.outputs: list[Paid] = []
        self.deltas_sat: dict[str, int] = {}
        self.old_spent_sat: dict[str, int] = {}

    def pay(self, name: str, amount_sat: int) -> None:
        """`name`, who must have it, gives up `amount_sat`."""
        self.spend(name, self.ledger.purses[name].take(self.rng, amount_sat), amount_sat)

    def spend(self, name: str, coins: list[Coin], amount_sat: int, change_parts: int = 1) -> None:
        """`name` gives up `amount_sat` of `coins`, taken from the purse; the rest is change."""
        self._book(name, -amount_sat)
        self.inputs += coins
        old = sum(coin.value_sat for coin in coins if self.height - coin.height > YEAR_BLOCKS)
        self.old_spent_sat[name] = self.old_spent_sat.get(name, 0) + old
        rest = sum(coin.value_sat for coin in coins) - amount_sat
        for part in range(change_parts if rest else 0):
            value = rest // change_parts + (rest % change_parts if not part else 0)
            self.outputs.append(Paid(name, value, self._change_address(name, coins)))

    def give(self, name: str, amount_sat: int, address: str | None = None) -> None:
        """`name` is given `amount_sat`, at one of its addresses."""
        self._book(name, amount_sat)
        self.outputs.append(Paid(name, amount_sat, address or address_for(self.rng, name)))

    def note(self) -> None:
        """An output of no value that carries data."""
        self.outputs.append(Paid(OUTSIDE, 0, None))

    @property
    def fee_sat(self) -> int:
        """What is given up and given to nobody."""
        return -sum(self.deltas_sat.values())

    @property
    def raw_weight(self) -> int:
        """Weight units before the block's are stretched."""
        return RAW_REST + RAW_INPUT * len(self.inputs) + RAW_OUTPUT * len(self.outputs)

    def settle(self, purpose: str) -> tuple[Json, TxTruth]:
        """The transaction without its weight, and its books; its outputs are coins from now on."""
        if not self.outputs:
            self.note()
        self.rng.shuffle(self.inputs)
        self.rng.shuffle(self.outputs)
        txid = f"{self.rng.getrandbits(256):064x}"
        for n, (owner, value_sat, address) in enumerate(self.outputs):
            if address is not None:
                self.ledger.purses[owner].put(Coin(txid, n, value_sat, address, self.height))
        for name, delta in self.deltas_sat.items():
            self.ledger.balances_sat[name] += delta
        return self._json(txid), TxTruth(txid, purpose, self.deltas_sat, self.fee_sat, self.old_spent_sat)

    def _json(self, txid: str) -> Json:
        return {
            "txid": txid,
            "version": 2,
            "vin": [_input(coin) for coin in self.inputs],
            "fee": self.fee_sat / SATOSHI_PER_BTC,
            "vout": [_output(n, paid) for n, paid in enumerate(self.outputs)],
        }

    def _book(self, name: str, delta_sat: int) -> None:
        self.deltas_sat[name] = self.deltas_sat.get(name, 0) + delta_sat

    def _change_address(self, name: str, coins: list[Coin]) -> str:
        if self.rng.random() < SAME_ADDRESS_SHARE:
            return coins[0].address
        return address_for(self.rng, name)


def _input(coin: Coin) -> Json:
    return {
        "txid": coin.txid,
        "vout": coin.n,
        "sequence": 0xFFFFFFFD,
        "prevout": {
            "generated": coin.generated,
            "height": coin.height,
            "value": coin.value_sat / SATOSHI_PER_BTC,
            "scriptPubKey": {"address": coin.address, "type": "witness_v0_keyhash"},
        },
    }


def _output(n: int, paid: Paid) -> Json:
    if paid.address is None:
        return {"value": 0.0, "n": n, "scriptPubKey": {"type": "nulldata"}}
    return output(n, paid.value_sat, paid.address)
