"""Scenarios: one tree of blocks, its longest branch, and the orders in which its blocks may come."""

from collections import Counter
from itertools import pairwise

import pytest

from app.chain.extract import extract
from app.errors import ConfigurationError
from app.model.features import BlockFeatures
from app.model.keys import block_ts
from app.sources.scenario import Scenario
from app.sources.simulated.disorder import HORIZON, NEAR
from app.sources.simulator import CHAIN, simulate

SMALL = (1, 4)
STORMY = Scenario(
    seed=5, blocks=400, reorgs=25, max_depth=6, gaps=12, late=20, doubles=30, equal_times=25, empty=8, full=8,
    start_height=860_000, transactions=SMALL,
)  # fmt: skip


def features(blocks: list[bytes]) -> list[BlockFeatures]:
    return [extract(value, chain=CHAIN, isolated=False) for value in blocks]


MAIN = features(STORMY.main)
ORPHANS = features(STORMY.orphans)


def best_of(blocks: list[BlockFeatures]) -> tuple[list[str], list[int]]:
    """The longest chain, the first seen of equally long ones, and how deep each reorganisation was."""
    parents = {found.hash: found.previousblockhash for found in blocks}
    tip, depths = blocks[0], []
    for found in blocks[1:]:
        if found.height > tip.height:
            if found.previousblockhash != tip.hash:
                depths.append(len(set(path(tip.hash, parents)) - set(path(found.hash, parents))))
            tip = found
    return path(tip.hash, parents)[::-1], depths


def path(at: str | None, parents: dict[str, str | None]) -> list[str]:
    found = []
    while at in parents:
        found.append(at)
        at = parents[at]
    return found


def test_the_same_options_give_the_same_bytes_and_others_others() -> None:
    options = {"blocks": 60, "reorgs": 3, "gaps": 2, "late": 3, "doubles": 4, "transactions": SMALL}
    one, same, other = (Scenario(seed=seed, **options) for seed in (1, 1, 2))  # type: ignore[arg-type]
    assert one.perfect() == same.perfect() != other.perfect()
    assert one.disturbed(7) == same.disturbed(7) != one.disturbed(8)
    assert not set(one.main) & set(other.main)


def test_a_calm_scenario_is_the_simulator() -> None:
    expected = list(simulate(12, seed=2, start_height=880_000))
    assert Scenario(2, 12, start_height=880_000).perfect() == expected
    assert Scenario(2, 12, reorgs=3, max_depth=2, start_height=880_000).main == expected
    assert Scenario(2, 12, start_height=880_000).orphans == []


def test_the_final_chain_is_linked_and_longer_than_every_other() -> None:
    assert [found.height for found in MAIN] == list(range(860_000, 860_400))
    assert all(after.previousblockhash == before.hash for before, after in pairwise(MAIN))
    assert max(found.height for found in ORPHANS) < MAIN[-1].height
    assert len({found.hash for found in MAIN + ORPHANS}) == len(MAIN) + len(ORPHANS)
    assert best_of(features(STORMY.perfect()))[0] == [found.hash for found in MAIN]


def test_a_node_sees_as_many_reorganisations_as_were_asked_for() -> None:
    depths = best_of(features(STORMY.perfect()))[1]
    assert len(depths) == 25
    assert max(depths) == 6
    assert min(depths) == 1
    assert depths.count(6) >= 1


def test_a_branch_may_stand_on_another_that_is_lost() -> None:
    nested = [reorg for reorg in STORMY.reorganisations if len(reorg.branches) == 2]
    assert nested
    assert len(nested) < len(STORMY.reorganisations)
    first, second = nested[0].branches
    by_hash = {found.hash: found for found in ORPHANS}
    lowest = by_hash[STORMY.hashes(second)[0]]
    assert lowest.previousblockhash in STORMY.hashes(first)
    assert second[-1].height == first[-1].height + 1


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize(("reorgs", "depth", "blocks"), [(1, 1, 3), (6, 3, 40), (4, 9, 60), (1, 20, 22)])
def test_every_seed_gives_the_depth_and_the_count(seed: int, reorgs: int, depth: int, blocks: int) -> None:
    planned = Scenario(seed, blocks, reorgs, depth, transactions=SMALL).reorganisations
    assert sum(len(reorg.branches) for reorg in planned) == reorgs
    assert max(reorg.depth for reorg in planned) == depth
    assert planned[0].height >= 1
    assert planned[-1].height + planned[-1].depth < blocks
    assert all(below.height + below.depth < above.height for below, above in pairwise(planned))


def test_parents_come_first_in_perfect_order_and_each_block_once() -> None:
    perfect = STORMY.perfect()
    assert Counter(perfect) == Counter(STORMY.main + STORMY.orphans)
    seen = {MAIN[0].previousblockhash}
    for found in features(perfect):
        assert found.previousblockhash in seen
        seen.add(found.hash)


def test_every_block_is_delivered_and_some_twice() -> None:
    perfect, disturbed = STORMY.perfect(), STORMY.disturbed(3)
    assert set(disturbed) == set(perfect)
    assert len(disturbed) == len(perfect) + 30
    assert any(count > 1 for count in Counter(disturbed).values())


def test_gaps_are_open_for_long_and_late_blocks_come_after_others() -> None:
    calm = Scenario(1, 3000, transactions=SMALL)
    rough = Scenario(1, 3000, gaps=20, late=30, transactions=SMALL)
    shuffled = [place.height for place in calm.disturbed_order()]
    order = [place.height for place in rough.disturbed_order()]
    assert 10 < max(delays(shuffled)) <= NEAR
    late = [delay for delay in delays(order) if delay > NEAR]
    assert len(late) >= 30 + 20 - 2
    assert HORIZON / 2 < max(late) <= HORIZON


def delays(order: list[int]) -> list[int]:
    """How far each height is below the highest that came before it."""
    found, highest = [], 0
    for height in order:
        found.append(highest - height)
        highest = max(highest, height)
    return found


def test_withheld_blocks_leave_gaps_in_the_chain() -> None:
    withheld = {found.height for found in features(STORMY.withheld(3))}
    runs = [height for height in withheld if height - 1 not in withheld]
    assert len(runs) == 12
    assert not {860_000, 860_399} & withheld
    assert set(STORMY.withheld(3)) <= set(STORMY.main)


def test_header_times_repeat_and_blocks_at_one_height_share_their_ts() -> None:
    equal = [after for before, after in pairwise(MAIN) if after.time == before.time]
    assert len(equal) >= 25
    ts = {block_ts(found.time, found.height) for found in MAIN}
    assert len(ts) == len(MAIN)
    shared = [found for found in ORPHANS if block_ts(found.time, found.height) in ts]
    assert 0 < len(shared) < len(ORPHANS)


def test_blocks_are_empty_and_full() -> None:
    empty = [found.height for found in MAIN if found.tx_count == 1]
    assert len(empty) == 8
    assert set(empty) & {found.height for found in ORPHANS}
    assert sum(found.weight > 3_998_000 for found in MAIN) >= 8
    assert all(found.coinbase_value_sat == found.subsidy_sat + found.total_fee_sat for found in MAIN)


def test_another_content_has_another_hash() -> None:
    plain, small, empty = (
        Scenario(1, 5, **options).hashes(Scenario(1, 5).trunk)
        for options in ({}, {"transactions": SMALL}, {"empty": 1})
    )
    assert not (set(plain) & set(small)) | (set(plain) & set(empty))


@pytest.mark.parametrize(
    "options",
    [{"reorgs": 5}, {"reorgs": 1, "max_depth": 9}, {"gaps": 2}, {"late": 11}, {"empty": 6, "full": 5},
     {"equal_times": 10}, {"reorgs": -1}, {"blocks": 0}, {"transactions": (5, 4)}, {"max_depth": 0}],
)  # fmt: skip
def test_what_has_no_room_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError):
        Scenario(**{"seed": 1, "blocks": 10, "max_depth": 2, **options})  # type: ignore[arg-type]


def test_a_chain_may_have_thousands_of_blocks() -> None:
    scenario = Scenario(9, 2000, reorgs=100, max_depth=6, gaps=40, late=60, doubles=80, transactions=SMALL)
    assert len(scenario.disturbed(1)) > 2180
