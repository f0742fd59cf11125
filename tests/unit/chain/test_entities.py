"""Flows of labelled owners: nothing lost, nothing counted twice, whatever the transactions."""

from collections import defaultdict
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chain.entities import Ledger, apportion
from app.chain.window import YEAR_BLOCKS
from app.labels.registry import Kind, Labels, Owner
from app.model.block import Prevout, ScriptPubKey, Tx, Vin, Vout
from app.model.features import EntityFlow

HEIGHT = 200_000
OWNERS = (
    Owner("Alpha", Kind.EXCHANGE, "one", 0.9),
    Owner("Alpha", Kind.EXCHANGE, "two", 0.6),
    Owner("Beta", Kind.EXCHANGE, "one", 0.8),
    Owner("Gamma", Kind.EXCHANGE, "one", 1.0),
    Owner("Pool", Kind.MINER, "one", 1.0),
    Owner("Fund", Kind.TREASURY, "one", 1.0),
)
BY_ADDRESS = {"a1": 0, "a2": 1, "b1": 2, "b2": 2, "g1": 3, "p1": 4, "f1": 5}
LABELS = Labels(OWNERS, BY_ADDRESS, (), "test")
NAMES = {address: OWNERS[index].entity for address, index in BY_ADDRESS.items()}

Parts = Sequence[tuple[str | None, int]]
"""Address and satoshi."""


def ledger_of(*txs: tuple[Parts, Parts], age: int = 1) -> Ledger:
    ledger = Ledger(LABELS)
    for inputs, outputs in txs:
        vin = [Vin(None, Prevout(sat / 1e8, ScriptPubKey(a), HEIGHT - age)) for a, sat in inputs]
        tx = Tx("ab" * 32, 400, vin, [Vout(sat / 1e8, ScriptPubKey(a)) for a, sat in outputs])
        ledger.add(tx, HEIGHT, {address for address, _ in inputs} - {None})
    return ledger


def flows(*txs: tuple[Parts, Parts]) -> dict[str, EntityFlow]:
    return {flow.entity: flow for flow in ledger_of(*txs).result()}


def test_change_nets_out_and_the_fee_is_outflow() -> None:
    alpha = flows(([("a1", 100)], [("x", 30), ("a2", 60)]))["Alpha"]
    assert (alpha.received_sat, alpha.spent_sat) == (60, 100)
    assert (alpha.inflow_sat, alpha.outflow_sat, alpha.outflow_txs) == (0, 40, 1)


def test_what_exchanges_send_one_another_is_internal() -> None:
    found = flows(([("a1", 100), ("x", 50)], [("b1", 140), ("x", 10)]))
    alpha, beta = found["Alpha"], found["Beta"]
    assert (alpha.outflow_sat, alpha.internal_out_sat, alpha.outflow_txs) == (0, 100, 0)
    assert (beta.inflow_sat, beta.internal_in_sat, beta.inflow_txs) == (40, 100, 1)
    assert (alpha.balance_change_sat, beta.balance_change_sat) == (-100, 140)


def test_the_internal_part_is_shared_in_proportion() -> None:
    found = flows(([("a1", 100)], [("b1", 1), ("g1", 2), ("x", 97)]))
    assert [found[name].internal_in_sat for name in ("Beta", "Gamma")] == [1, 2]
    assert (found["Alpha"].internal_out_sat, found["Alpha"].outflow_sat) == (3, 97)


def test_a_pool_that_pays_an_exchange_is_an_inflow() -> None:
    found = flows(([("p1", 100)], [("a1", 90)]))
    assert (found["Alpha"].inflow_sat, found["Pool"].outflow_sat) == (90, 100)


def test_owners_of_one_name_are_one_with_the_lowest_confidence() -> None:
    assert flows(([], [("a1", 5)]))["Alpha"].confidence == 0.9
    both = flows(([], [("a1", 5)]), ([], [("a2", 5)]))["Alpha"]
    assert (both.confidence, both.inflow_sat, both.inflow_txs) == (0.6, 10, 2)


def test_the_ten_largest_inflows() -> None:
    ledger = ledger_of(*(([("x", 50)], [("a1", sat), ("b1", 1)]) for sat in range(1, 13)))
    assert ledger.top_exchange_inflows() == list(range(13, 3, -1))


@pytest.mark.parametrize(("age", "old"), [(YEAR_BLOCKS, 0), (YEAR_BLOCKS + 1, 70)])
def test_old_coins(age: int, old: int) -> None:
    ((fund),) = ledger_of(([("f1", 70), ("x", 5)], [("y", 75)]), age=age).result()
    assert (fund.old_spent_sat, fund.spent_sat) == (old, 70)


def test_what_goes_to_an_owners_other_address_is_returned() -> None:
    tx = Tx(
        "ab" * 32,
        400,
        [Vin(None, Prevout(1.0, ScriptPubKey("b1"), 1))],
        [Vout(0.25, ScriptPubKey("b1")), Vout(0.5, ScriptPubKey("b2")), Vout(0.25, ScriptPubKey("a1"))],
    )
    assert Ledger(LABELS).add(tx, HEIGHT, {"b1"}) == 50_000_000


PARTS = st.lists(
    st.tuples(st.sampled_from([*BY_ADDRESS, "x", "y", None]), st.integers(0, 10**10)), max_size=8
)
TXS = st.lists(st.tuples(PARTS, PARTS), max_size=8)


@given(TXS)
def test_flows_add_up_to_the_change_of_the_balance(txs: list[tuple[Parts, Parts]]) -> None:
    balances: dict[str, int] = defaultdict(int)
    for inputs, outputs in txs:
        for address, sat in outputs:
            balances[NAMES.get(address or "", "")] += sat
        for address, sat in inputs:
            balances[NAMES.get(address or "", "")] -= sat
    found = flows(*txs)
    for name, flow in found.items():
        net = flow.inflow_sat + flow.internal_in_sat - flow.outflow_sat - flow.internal_out_sat
        assert flow.balance_change_sat == net == balances[name]
        assert min(flow.inflow_sat, flow.outflow_sat, flow.internal_in_sat, flow.internal_out_sat) >= 0


@given(TXS)
def test_no_coin_counts_twice(txs: list[tuple[Parts, Parts]]) -> None:
    exchanges = [flow for flow in flows(*txs).values() if flow.kind == "exchange"]
    internal = sum(flow.internal_in_sat for flow in exchanges)
    assert internal == sum(flow.internal_out_sat for flow in exchanges)
    into, out = sum(f.inflow_sat for f in exchanges), sum(f.outflow_sat for f in exchanges)
    assert into - out == sum(flow.balance_change_sat for flow in exchanges)
    # Of one transaction, all exchanges together have an inflow or an outflow, never both.
    expected_in = expected_out = 0
    names = {flow.entity for flow in exchanges}
    for inputs, outputs in txs:
        net = sum(sat for a, sat in outputs if NAMES.get(a or "") in names)
        net -= sum(sat for a, sat in inputs if NAMES.get(a or "") in names)
        expected_in, expected_out = expected_in + max(net, 0), expected_out + max(-net, 0)
    assert (into, out) == (expected_in, expected_out)


@given(st.lists(st.integers(0, 10**15), max_size=12), st.data())
def test_apportioning_is_exact_and_never_over(weights: list[int], data: st.DataObject) -> None:
    total = data.draw(st.integers(0, sum(weights)))
    parts = apportion(total, weights)
    assert sum(parts) == total
    assert all(0 <= part <= weight for part, weight in zip(parts, weights, strict=True))
    assert all(
        abs(part * sum(weights) - total * weight) < sum(weights) or not sum(weights)
        for part, weight in zip(parts, weights, strict=True)
    )
