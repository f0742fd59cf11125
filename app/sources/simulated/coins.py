"""Who holds which coins at one block of a simulated chain. Pure."""

from random import Random
from typing import NamedTuple

from app.model.block import SATOSHI_PER_BTC as BTC
from app.sources.simulated.actors import EXCHANGES, MINERS, OUTSIDE, TREASURIES, address_for
from app.sources.simulated.transactions import amount_sat

MATURITY = 100
"""Blocks after which a coinbase may be spent."""
YEAR_BLOCKS = 52_560
LONGEST_AGE = 200_000
"""Blocks: of the coins that are there before the first block."""
TRIES = 8
"""Coins taken at random before large ones are."""
SAMPLE = 40
"""A large coin is the largest of so many."""


class Coin(NamedTuple):
    """An unspent output; `height` of the block that made it."""

    txid: str
    n: int
    value_sat: int
    address: str
    height: int
    generated: bool = False


class Purse:
    """The coins of one owner that may be spent."""

    def __init__(self, coins: list[Coin]) -> None:
        self.coins = coins
        self.total_sat = sum(coin.value_sat for coin in coins)

    def put(self, coin: Coin) -> None:
        """Add a coin."""
        self.coins.append(coin)
        self.total_sat += coin.value_sat

    def take(self, rng: Random, amount_sat: int) -> list[Coin]:
        """Coins of at least `amount_sat`, which must be there: a few at random, then large ones."""
        taken: list[Coin] = []
        missing = amount_sat
        while missing > 0 or not taken:
            coin = self._one(rng) if len(taken) < TRIES else self._large(rng)
            taken.append(coin)
            missing -= coin.value_sat
        return taken

    def take_some(self, rng: Random, count: int) -> list[Coin]:
        """`count` coins at random, which must be there."""
        return [self._one(rng) for _ in range(count)]

    def take_these(self, coins: list[Coin]) -> list[Coin]:
        """Exactly `coins`, which must be there."""
        gone = set(coins)
        self.coins = [coin for coin in self.coins if coin not in gone]
        self.total_sat -= sum(coin.value_sat for coin in coins)
        return coins

    def _one(self, rng: Random) -> Coin:
        return self._remove(int(rng.random() * len(self.coins)))

    def _large(self, rng: Random) -> Coin:
        some = rng.sample(range(len(self.coins)), min(len(self.coins), SAMPLE))
        return self._remove(max(some, key=lambda at: self.coins[at].value_sat))

    def _remove(self, at: int) -> Coin:
        coin = self.coins[at]
        self.coins[at] = self.coins[-1]
        self.coins.pop()
        self.total_sat -= coin.value_sat
        return coin


class Ledger:
    """All purses, the coinbases that are not mature, and balances as they were decided upon.

    `balances_sat` is kept by what transactions were made for, never by adding up coins.
    """

    def __init__(
        self, purses: dict[str, Purse], young: list[tuple[str, Coin]], balances_sat: dict[str, int]
    ) -> None:
        self.purses = purses
        self.young = young
        self.balances_sat = balances_sat

    def copy(self) -> "Ledger":
        """The same state, to go on in another branch."""
        purses = {name: Purse(purse.coins.copy()) for name, purse in self.purses.items()}
        return Ledger(purses, self.young.copy(), self.balances_sat.copy())

    def ripen(self, height: int) -> None:
        """Make spendable, at `height`, the coinbases that are mature."""
        while self.young and self.young[0][1].height + MATURITY <= height:
            name, coin = self.young.pop(0)
            self.purses[name].put(coin)

    def holds(self, name: str, amount_sat: int) -> bool:
        """Whether `name` can pay so much."""
        return self.purses[name].total_sat >= amount_sat


def opening(rng: Random, start_height: int) -> Ledger:
    """The coins that are there before the block at `start_height`, of all ages up to four years."""
    amounts: dict[str, list[int]] = {OUTSIDE: [amount_sat(rng) for _ in range(4000)]}
    amounts[OUTSIDE] += [rng.randint(50 * BTC, 3000 * BTC) for _ in range(60)]
    for exchange in EXCHANGES:
        deposits = [amount_sat(rng) for _ in range(2 * len(exchange.addresses))]
        amounts[exchange.name] = [rng.randint(BTC, 600 * BTC) for _ in range(100)] + deposits
    for miner in MINERS:
        amounts[miner.name] = [rng.randint(3 * BTC, 7 * BTC) for _ in range(25)]
    for treasury in TREASURIES:
        amounts[treasury.name] = [rng.randint(20 * BTC, 900 * BTC) for _ in range(50)]
    purses = {
        name: Purse([_old_coin(rng, name, value, start_height) for value in values])
        for name, values in amounts.items()
    }
    return Ledger(purses, [], {name: sum(values) for name, values in amounts.items()})


def _old_coin(rng: Random, name: str, value_sat: int, start_height: int) -> Coin:
    """Every third within some blocks of being a year old, where it matters on which side it is."""
    age = rng.randint(1, LONGEST_AGE) if rng.random() < 0.67 else YEAR_BLOCKS + rng.randint(-100, 20)
    txid = f"{rng.getrandbits(256):064x}"
    return Coin(txid, rng.randrange(4), value_sat, address_for(rng, name), start_height - age)
