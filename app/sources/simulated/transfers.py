"""What the actors of a simulated economy do with their coins: one function a purpose. Pure.

Each fills a draft and returns True, or finds nobody who can, leaves the draft alone and returns False.
`fee_sat` is what the sender, or the first of several, adds.
"""

from collections.abc import Callable, Sequence

from app.model.block import SATOSHI_PER_BTC as BTC
from app.sources.simulated.actors import EXCHANGES, LABELLED, MINERS, OUTSIDE, TREASURIES, Actor
from app.sources.simulated.coins import YEAR_BLOCKS, Coin
from app.sources.simulated.drafts import Draft
from app.sources.simulated.transactions import address_of, amount_sat

CONSOLIDATED = 50
"""Inputs of a consolidation."""
MIXED_SAT = BTC // 20
"""Every equal output of a CoinJoin."""

Transfer = Callable[[Draft, int], bool]


def person_pays(draft: Draft, fee_sat: int) -> bool:
    """People pay people; some add a note."""
    payments = [amount_sat(draft.rng) for _ in range(draft.rng.choice((1, 1, 1, 2, 5)))]
    draft.pay(OUTSIDE, sum(payments) + fee_sat)
    for payment in payments:
        draft.give(OUTSIDE, payment)
    if draft.rng.random() < 0.1:
        draft.note()
    return True


def deposit(draft: Draft, fee_sat: int) -> bool:
    """Somebody brings coins to an exchange."""
    return _pays(draft, fee_sat, [OUTSIDE], EXCHANGES, 3 * amount_sat(draft.rng))


def withdrawal(draft: Draft, fee_sat: int) -> bool:
    """An exchange pays many people at once."""
    payments = [amount_sat(draft.rng) for _ in range(draft.rng.randint(1, 30))]
    sender = _able(draft, EXCHANGES, sum(payments) + fee_sat)
    if sender is None:
        return False
    draft.pay(sender, sum(payments) + fee_sat)
    for payment in payments:
        draft.give(OUTSIDE, payment)
    return True


def between_exchanges(draft: Draft, fee_sat: int) -> bool:
    """One exchange pays another."""
    return _pays(draft, fee_sat, _names(EXCHANGES), EXCHANGES, _large(draft, 200))


def to_exchange_and_people(draft: Draft, fee_sat: int) -> bool:
    """One exchange pays another exchange and people in the same transaction."""
    people = amount_sat(draft.rng)
    if not _pays(draft, fee_sat + people, _names(EXCHANGES), EXCHANGES, _large(draft, 50)):
        return False
    draft.give(OUTSIDE, people)
    return True


def own_transfer(draft: Draft, fee_sat: int) -> bool:
    """An exchange pays itself, at several addresses."""
    sender = _able(draft, EXCHANGES, 100 * BTC + fee_sat)
    if sender is None:
        return False
    coins = draft.ledger.purses[sender].take(draft.rng, 100 * BTC + fee_sat)
    draft.spend(sender, coins, fee_sat, change_parts=draft.rng.randint(1, 4))
    return True


def consolidation(draft: Draft, fee_sat: int) -> bool:
    """An exchange sweeps 50 coins into one."""
    return _consolidates(draft, fee_sat, _names(EXCHANGES))


def people_consolidate(draft: Draft, fee_sat: int) -> bool:
    """So does somebody without a label."""
    return _consolidates(draft, fee_sat, [OUTSIDE])


def miner_sells(draft: Draft, fee_sat: int) -> bool:
    """A miner pays an exchange."""
    return _pays(draft, fee_sat, _names(MINERS), EXCHANGES, _large(draft, 12))


def miner_pays_out(draft: Draft, fee_sat: int) -> bool:
    """A pool pays those who mine for it."""
    shares = [draft.rng.randint(BTC // 500, BTC // 5) for _ in range(draft.rng.randint(2, 25))]
    sender = _able(draft, MINERS, sum(shares) + fee_sat)
    if sender is None:
        return False
    draft.pay(sender, sum(shares) + fee_sat)
    for share in shares:
        draft.give(OUTSIDE, share)
    return True


def treasury_buys(draft: Draft, fee_sat: int) -> bool:
    """An exchange pays out to a treasury."""
    return _pays(draft, fee_sat, _names(EXCHANGES), TREASURIES, _large(draft, 800))


def treasury_sells_old_coins(draft: Draft, fee_sat: int) -> bool:
    """A treasury pays an exchange with coins that it has had for over a year."""
    seller = draft.rng.choice(TREASURIES).name
    purse = draft.ledger.purses[seller]
    old = [coin for coin in purse.coins if draft.height - coin.height > YEAR_BLOCKS]
    if not old:
        return False
    coins = purse.take_these(old[: draft.rng.randint(1, 3)])
    total = sum(coin.value_sat for coin in coins)
    draft.spend(seller, coins, total)
    draft.give(draft.rng.choice(EXCHANGES).name, max(0, total - fee_sat))
    return True


def several_pay(draft: Draft, fee_sat: int) -> bool:
    """Two to four parties pay together for two to five; who pays may be paid as well."""
    amounts = {name: _large(draft, 20) for name in draft.rng.sample(_names(LABELLED), 3)}
    amounts[OUTSIDE] = _large(draft, 3)
    able = {name: amount for name, amount in amounts.items() if draft.ledger.holds(name, amount)}
    for name, amount in able.items():
        draft.pay(name, amount)
    takers = draft.rng.choices([*_names(LABELLED), *_names(EXCHANGES), OUTSIDE], k=draft.rng.randint(2, 5))
    left = sum(able.values()) - min(fee_sat, sum(able.values()))
    for taker in takers[1:]:
        share = int(left * draft.rng.random())
        draft.give(taker, share)
        left -= share
    draft.give(takers[0], left)
    return True


def even_exchange(draft: Draft, fee_sat: int) -> bool:
    """An exchange gets back exactly what it spends, in the transaction of somebody who pays."""
    name = draft.rng.choice(EXCHANGES).name
    if not draft.ledger.purses[name].coins:
        return False
    (coin,) = draft.ledger.purses[name].take_some(draft.rng, 1)
    draft.spend(name, [coin], 0)
    return person_pays(draft, fee_sat)


def equal_payouts(draft: Draft, fee_sat: int) -> bool:
    """An exchange pays the same to six people out of six coins: no CoinJoin, though it looks like one."""
    name = draft.rng.choice(EXCHANGES).name
    purse = draft.ledger.purses[name]
    if len(purse.coins) < 6:
        return False
    coins = purse.take_some(draft.rng, 6)
    total = sum(coin.value_sat for coin in coins)
    fee_sat = min(fee_sat, total // 10)
    each = (total - fee_sat) // 8
    draft.spend(name, coins, 6 * each + fee_sat)
    for _ in range(6):
        draft.give(OUTSIDE, each)
    return True


def coinjoin(draft: Draft, fee_sat: int) -> bool:
    """Five to ten people mix equal amounts, each with change of their own."""
    coins = _distinct(draft, OUTSIDE, draft.rng.randint(5, 10), MIXED_SAT + fee_sat)
    if len(coins) < 5:
        return False
    _mix(draft, [(OUTSIDE, coin) for coin in coins], fee_sat)
    return True


def coinjoin_with_exchange(draft: Draft, fee_sat: int) -> bool:
    """A CoinJoin in which an exchange takes part."""
    people = _distinct(draft, OUTSIDE, 5, MIXED_SAT + fee_sat)
    name = draft.rng.choice(EXCHANGES).name
    own = _distinct(draft, name, 1, MIXED_SAT + fee_sat)
    if len(people) < 5 or not own:
        return False
    _mix(draft, [*((OUTSIDE, coin) for coin in people), (name, own[0])], fee_sat)
    return True


AWKWARD: Sequence[Transfer] = (
    own_transfer, consolidation, people_consolidate, between_exchanges, to_exchange_and_people, several_pay,
    even_exchange, equal_payouts, coinjoin, coinjoin_with_exchange, treasury_sells_old_coins, treasury_buys,
    miner_sells, miner_pays_out,
)  # fmt: skip
"""One a block, in turn, so that a short chain has them all."""
USUAL: Sequence[tuple[Transfer, int]] = (
    (person_pays, 50), (deposit, 18), (withdrawal, 12), (between_exchanges, 4), (own_transfer, 3),
    (miner_sells, 3), (miner_pays_out, 2), (several_pay, 3), (to_exchange_and_people, 2), (consolidation, 1),
    (coinjoin, 1), (treasury_buys, 1),
)  # fmt: skip
"""With how often, of 100, each is done."""


def _pays(draft: Draft, fee_sat: int, senders: Sequence[str], takers: Sequence[Actor], amount: int) -> bool:
    sender = next((n for n in _shuffled(draft, senders) if draft.ledger.holds(n, amount + fee_sat)), None)
    if sender is None:
        return False
    draft.pay(sender, amount + fee_sat)
    draft.give(draft.rng.choice([taker.name for taker in takers if taker.name != sender]), amount)
    return True


def _consolidates(draft: Draft, fee_sat: int, names: Sequence[str]) -> bool:
    purses = draft.ledger.purses
    name = next((n for n in _shuffled(draft, names) if len(purses[n].coins) > CONSOLIDATED), None)
    if name is None:
        return False
    coins = purses[name].take_some(draft.rng, CONSOLIDATED)
    draft.spend(name, coins, min(fee_sat, sum(coin.value_sat for coin in coins) // 10))
    return True


def _mix(draft: Draft, parts: Sequence[tuple[str, Coin]], fee_sat: int) -> None:
    share = fee_sat // len(parts)
    for number, (name, coin) in enumerate(parts):
        draft.spend(name, [coin], MIXED_SAT + share)
        address = address_of(f"mixed {coin.txid} {number}") if name == OUTSIDE else None
        draft.give(name, MIXED_SAT, address)


def _distinct(draft: Draft, name: str, count: int, least_sat: int) -> list[Coin]:
    """Up to `count` coins of `name` above `least_sat`, each of another address, taken from the purse if
    there are as many."""
    purse = draft.ledger.purses[name]
    found: dict[str, Coin] = {}
    for coin in draft.rng.sample(purse.coins, min(len(purse.coins), 300)):
        if coin.value_sat > least_sat and len(found) < count:
            found.setdefault(coin.address, coin)
    return purse.take_these(list(found.values())) if len(found) == count else []


def _able(draft: Draft, actors: Sequence[Actor], amount_sat: int) -> str | None:
    names = _shuffled(draft, _names(actors))
    return next((name for name in names if draft.ledger.holds(name, amount_sat)), None)


def _shuffled(draft: Draft, names: Sequence[str]) -> list[str]:
    return draft.rng.sample(names, len(names))


def _names(actors: Sequence[Actor]) -> list[str]:
    return [actor.name for actor in actors]


def _large(draft: Draft, most_btc: int) -> int:
    return draft.rng.randint(BTC // 100, most_btc * BTC)
