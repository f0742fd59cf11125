"""A scenario whose every coin is accounted for: labelled entities, and what each really gained and lost.

Exchanges with many addresses, miners (the pools that find the blocks) and treasuries pay one another and
people without a label. What flowed is written down as it is decided, never read off the blocks: an
independent check of everything that is.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from random import Random

from app.sources.scenario import Scenario
from app.sources.simulated.actors import Label, labels
from app.sources.simulated.block import Place, World
from app.sources.simulated.coins import LONGEST_AGE, Coin, Ledger, opening
from app.sources.simulated.economy import Economy
from app.sources.simulated.truth import BlockTruth


@dataclass(frozen=True)
class EconomyScenario(Scenario):
    """A Scenario of blocks with real flows: inputs spend outputs that are there, nothing is spent twice on
    a branch, coinbases claim subsidy and fees exactly and are spent 100 blocks later.

    Outputs that were there before the first block are `opening_coins`. The first use makes all blocks.
    Raises ConfigurationError below height 200,000: those coins are up to four years old.
    """

    start_height: int = 880_000

    def __post_init__(self) -> None:
        super().__post_init__()
        self._need(self.start_height >= LONGEST_AGE, "start_height", f"{LONGEST_AGE} or more")

    @property
    def labels(self) -> list[Label]:
        """Who owns which address."""
        return labels()

    @property
    def opening_coins(self) -> list[Coin]:
        """Outputs that are unspent before the first block."""
        return [coin for purse in self._opening().purses.values() for coin in purse.coins]

    @property
    def opening_balances_sat(self) -> Mapping[str, int]:
        """What every entity, and OUTSIDE, holds before the first block."""
        return self._opening().balances_sat

    @property
    def truth(self) -> Mapping[str, BlockTruth]:
        """What really happened in each block, by its hash; blocks of lost branches are there, too."""
        return self._economy.truth

    @property
    def main_truth(self) -> list[BlockTruth]:
        """What really happened in the final best chain, lowest block first."""
        return [self.truth[found] for found in self.hashes(self.trunk)]

    def make(self, place: Place) -> bytes:
        """The block at `place`."""
        return self._economy.blocks[place]

    @cached_property
    def _economy(self) -> Economy:
        return Economy(self._contents, self.perfect_order(), self._opening())

    def _opening(self) -> Ledger:
        return opening(Random(f"{self._world}|opening"), self.start_height)  # noqa: S311 - reproducible

    @property
    def _world(self) -> World:
        """What one block pays depends on all before it: the chain's beginning is part of each hash."""
        return f"{super()._world}|{self.start_height}|economy"


def labels_csv() -> str:
    """Who owns which address, in every economy the same, as a file that `SIGSTREAM_LABELS` may name."""
    text = StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(Label._fields)
    rows.writerows(labels())
    return text.getvalue()


def simulate_flows(blocks: int, seed: int, start_height: int = 880_000) -> EconomyScenario:
    """`blocks` blocks without reorganisations, their labels, and what really flowed."""
    return EconomyScenario(seed, blocks, start_height=start_height)
