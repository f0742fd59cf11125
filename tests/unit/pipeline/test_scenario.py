"""A simulated network with all that goes wrong, through the installed processors."""

from functools import cache

from app.chain.extract import extract
from app.chain.tracker import Patience
from app.config import Settings
from app.model.features import BlockFeatures
from app.pipeline.chain import Chain, Effects
from app.processors.registry import enabled_processors
from app.sources.scenario import Scenario
from app.sources.simulator import CHAIN
from tests.support.latest import Latest

SCENARIO = Scenario(
    seed=7, blocks=500, reorgs=10, max_depth=6, gaps=2, late=8, doubles=20, equal_times=5, empty=3, full=3,
    transactions=(5, 15),
)  # fmt: skip


@cache
def features_of(value: bytes) -> BlockFeatures:
    return extract(value, chain=CHAIN, isolated=False)


def latest(blocks: list[bytes], *, patience: Patience) -> tuple[Latest, list[Effects]]:
    chain = Chain(enabled_processors(Settings(_env_file=None)), patience=patience)
    store = Latest()
    effects = []
    for number, value in enumerate(blocks, 1):
        effects.append(chain.arrive(features_of(value), now_ms=number, version=number))
    while chain.tracker.waiting:
        effects.append(chain.give_up(version=len(blocks)))
    for effect in effects:
        assert [ran.failures for _, ran in effect.ran if ran.failures] == []
        store.take(effect.batches)
    return store, effects


def test_a_disturbed_delivery_ends_as_the_perfect_one() -> None:
    perfect, seen = latest(SCENARIO.perfect(), patience=Patience())
    assert sum(len(effect.retracted) for effect in seen) == len(SCENARIO.orphans)
    hasty = Patience(blocks=20)  # passes the gaps, and has them filled later
    disturbed, effects = latest(SCENARIO.disturbed(), patience=hasty)
    assert sum(effect.passed for effect in effects) > 0
    assert disturbed.rows() == perfect.rows()
