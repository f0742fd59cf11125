"""Flows of a simulated economy whose books were kept while its coins moved: extraction finds them again."""

from pathlib import Path

import pytest

from app.chain.extract import extract
from app.labels.files import load_labels
from app.labels.registry import Labels
from app.model.features import BlockFeatures, EntityFlow
from app.sources.economy import EconomyScenario, labels_csv
from app.sources.simulated.truth import BlockTruth, EntityTruth
from app.sources.simulator import CHAIN

SCENARIO = EconomyScenario(seed=3, blocks=150, reorgs=4, transactions=(20, 60))


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Labels:
    file: Path = tmp_path_factory.mktemp("labels") / "economy.csv"
    file.write_text(labels_csv())
    return load_labels((file,)).labels


@pytest.fixture(scope="module")
def blocks(labels: Labels) -> list[tuple[BlockFeatures, BlockTruth]]:
    found = [extract(v, chain=CHAIN, isolated=False, labels=labels) for v in SCENARIO.perfect()]
    return [(features, SCENARIO.truth[features.hash]) for features in found]


def in_the_books(truth: EntityTruth) -> tuple[int, ...]:
    return (
        truth.inflow_sat,
        truth.outflow_sat,
        truth.internal_in_sat,
        truth.internal_out_sat,
        truth.balance_change_sat,
        truth.old_spent_sat,
    )


def found_again(flow: EntityFlow) -> tuple[int, ...]:
    return (
        flow.inflow_sat,
        flow.outflow_sat,
        flow.internal_in_sat,
        flow.internal_out_sat,
        flow.received_sat - flow.spent_sat,
        flow.old_spent_sat,
    )


def test_every_entity_s_flows_are_found_to_the_satoshi(
    blocks: list[tuple[BlockFeatures, BlockTruth]],
) -> None:
    seen = set()
    for features, truth in blocks:
        found = {flow.entity: found_again(flow) for flow in features.entities}
        books = {name: in_the_books(entity) for name, entity in truth.entities.items()}
        moved = {name for name in {*found, *books} if any(found.get(name, ())) or any(books.get(name, ()))}
        assert {name: found.get(name) for name in moved} == {name: books.get(name) for name in moved}
        seen |= moved
    assert len(seen) > 10


def test_nothing_is_counted_twice_over_exchanges(blocks: list[tuple[BlockFeatures, BlockTruth]]) -> None:
    internal = 0
    for features, truth in blocks:
        flows = [flow for flow in features.entities if flow.kind == "exchange"]
        found = (sum(f.inflow_sat for f in flows), sum(f.outflow_sat for f in flows))
        assert found == (truth.exchanges.inflow_sat, truth.exchanges.outflow_sat)
        assert sum(f.internal_in_sat for f in flows) == sum(f.internal_out_sat for f in flows)
        internal += sum(f.internal_in_sat for f in flows)
    assert internal > 0


def test_balances_change_by_what_was_found(blocks: list[tuple[BlockFeatures, BlockTruth]]) -> None:
    main = {truth.hash for truth in SCENARIO.main_truth}
    changes: dict[str, int] = {}
    for features, _ in blocks:
        for flow in features.entities if features.hash in main else ():
            changes[flow.entity] = changes.get(flow.entity, 0) + flow.received_sat - flow.spent_sat
    last = SCENARIO.main_truth[-1].balances_sat
    opening = SCENARIO.opening_balances_sat
    for entity, change in changes.items():
        assert last.get(entity, 0) - opening.get(entity, 0) == change, entity
