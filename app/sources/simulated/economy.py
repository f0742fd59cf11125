"""Blocks of an economy whose every coin is accounted for, along all branches of a tree. Pure."""

from collections import Counter
from collections.abc import Sequence
from random import Random

import orjson

from app.chain.extract import WITNESS_SCALE_FACTOR, subsidy_sat
from app.sources.simulated.actors import MINERS
from app.sources.simulated.block import BLOCK_SECONDS, GENESIS_TIME, Demand, Place, demand_at, header_of
from app.sources.simulated.coins import Coin, Ledger
from app.sources.simulated.contents import Contents
from app.sources.simulated.drafts import Draft
from app.sources.simulated.transactions import Json, coinbase_of, draw_pool
from app.sources.simulated.transfers import AWKWARD, USUAL, Transfer, person_pays
from app.sources.simulated.truth import BlockTruth, TxTruth


class Economy:
    """The blocks at `order`, parents first, made one on another from what `ledger` holds before the first."""

    def __init__(self, contents: Contents, order: Sequence[Place], ledger: Ledger) -> None:
        self.blocks: dict[Place, bytes] = {}
        self.truth: dict[str, BlockTruth] = {}
        """By block hash."""
        self._contents = contents
        self._after: dict[tuple[int, int | str], Ledger] = {}
        self._children = Counter((place.height - 1, place.parent) for place in order)
        self._opening = ledger
        for place in order:
            self._make(place)

    def _make(self, place: Place) -> None:
        ledger = self._ledger_before(place)
        if self._children[place.height, place.fork]:
            self._after[place.height, place.fork] = ledger
        ledger.ripen(place.height)
        rng = Random(f"{self._contents.world}|{place.height}|{place.fork}")  # noqa: S311 - reproducible
        txs, books = self._transactions(rng, place, ledger)
        reward, book = _mine(rng, place.height, ledger, sum(truth.fee_sat for truth in books))
        header = header_of(rng, self._contents.world, place, self._time(place), txs)
        self.blocks[place] = orjson.dumps({**header, "tx": [reward, *txs]})
        self.truth[header["hash"]] = BlockTruth(
            place.height,
            header["hash"],
            subsidy_sat(place.height),
            (book, *books),
            ledger.balances_sat.copy(),
        )

    def _time(self, place: Place) -> int:
        source = self._contents.time_from(place)
        purpose = f"{self._contents.world}|{source.height}|{source.fork}|time"
        jitter = Random(purpose).randrange(-500, 500)  # noqa: S311 - reproducible, not secret
        return GENESIS_TIME + BLOCK_SECONDS * source.height + jitter

    def _ledger_before(self, place: Place) -> Ledger:
        """The last block on a parent goes on with its ledger, those before with copies."""
        parent = (place.height - 1, place.parent)
        self._children[parent] -= 1
        ledger = self._after.get(parent, self._opening)
        if self._children[parent]:
            return ledger.copy()
        self._after.pop(parent, None)
        return ledger

    def _transactions(self, rng: Random, place: Place, ledger: Ledger) -> tuple[list[Json], list[TxTruth]]:
        demand = demand_at(rng, self._contents.world, place.height, self._contents.content_of(place))
        drafts: list[Draft] = []
        made: list[tuple[Json, TxTruth]] = []
        for transfer in _chosen(rng, place.height, demand.transactions):
            draft, purpose = _drafted(rng, ledger, place.height, transfer, _fee_sat(rng, demand))
            drafts.append(draft)
            made.append(draft.settle(purpose))
        _stretch([tx for tx, _ in made], [draft.raw_weight for draft in drafts], demand.room)
        return [tx for tx, _ in made], [truth for _, truth in made]


def _chosen(rng: Random, height: int, count: int) -> list[Transfer]:
    usual = rng.choices([transfer for transfer, _ in USUAL], [share for _, share in USUAL], k=count)
    return [*usual[1:], AWKWARD[height % len(AWKWARD)]] if usual else []


def _drafted(rng: Random, ledger: Ledger, height: int, transfer: Transfer, fee_sat: int) -> tuple[Draft, str]:
    draft = Draft(rng, ledger, height)
    if not transfer(draft, fee_sat):
        transfer = person_pays
        transfer(draft, fee_sat)
    return draft, transfer.__name__


def _fee_sat(rng: Random, demand: Demand) -> int:
    vsize = demand.room / demand.transactions / WITNESS_SCALE_FACTOR
    return int(demand.feerate * rng.lognormvariate(0, 0.6) * vsize)


def _stretch(txs: Sequence[Json], raw_weights: Sequence[int], room: int) -> None:
    """Give transactions weights in proportion that fill the block."""
    for tx, raw in zip(txs, raw_weights, strict=True):
        weight = max(1, room * raw // sum(raw_weights))
        tx |= {"size": -(-weight // 2), "vsize": -(-weight // WITNESS_SCALE_FACTOR), "weight": weight}


def _mine(rng: Random, height: int, ledger: Ledger, fee_sat: int) -> tuple[Json, TxTruth]:
    number, value_sat = draw_pool(rng), subsidy_sat(height) + fee_sat
    miner, tx = MINERS[number], coinbase_of(rng, height, value_sat, number)
    coin = Coin(tx["txid"], 0, value_sat, miner.addresses[0], height, generated=True)
    ledger.young.append((miner.name, coin))
    ledger.balances_sat[miner.name] += value_sat
    return tx, TxTruth(tx["txid"], "coinbase", {miner.name: value_sat}, 0, {})
