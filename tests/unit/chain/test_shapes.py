"""What a transaction is taken for, on both sides of each bound."""

from typing import Any

import pytest

from app.chain.flows import Flows, flows_of
from app.labels.registry import Kind, Labels, Owner
from app.model.block import Prevout, ScriptPubKey, Tx, Vin, Vout
from app.model.features import Shape

COINBASE = Tx("00" * 32, 400, [Vin(coinbase="51")], [Vout(0.0, ScriptPubKey())])
Outputs = list[tuple[str | None, float]]


def shapes(inputs: Outputs, outputs: Outputs, labels: dict[str, str] | None = None) -> Flows:
    vin = [Vin(None, Prevout(value, ScriptPubKey(address), 1)) for address, value in inputs]
    tx = Tx("ab" * 32, 400, vin, [Vout(value, ScriptPubKey(address)) for address, value in outputs])
    return flows_of([COINBASE, tx], 100, labels_of(labels or {}))


def labels_of(owned: dict[str, str]) -> Labels:
    names = sorted(set(owned.values()))
    owners = tuple(Owner(name, Kind.EXCHANGE, "test", 1.0) for name in names)
    return Labels(owners, {address: names.index(name) for address, name in owned.items()}, (), "v")


def only(flows: Flows) -> tuple[Shape, int]:
    if flows.transfers_sat:
        return Shape.TRANSFER, flows.transfers_sat[0]
    ((shape, part),) = flows.shapes.items()
    return shape, part.value_sat


def people(count: int, value: float = 1.0, name: str = "p") -> Outputs:
    return [(f"{name}{number}", value) for number in range(count)]


CASES: dict[str, tuple[Outputs, Outputs, Shape, int]] = {
    "a payment": ([("a", 3)], [("b", 2), ("a", 1)], Shape.TRANSFER, 200_000_000),
    "back to oneself": ([("a", 3), ("b", 1)], [("b", 2), ("a", 2)], Shape.SELF_TRANSFER, 400_000_000),
    "to nobody": ([("a", 3)], [(None, 3)], Shape.TRANSFER, 300_000_000),
    "five into one": (people(5), [("new", 5)], Shape.CONSOLIDATION, 500_000_000),
    "four into one": (people(4), [("new", 4)], Shape.TRANSFER, 400_000_000),
    "ten into two": (people(10), [("new", 4), ("old", 6)], Shape.CONSOLIDATION, 1_000_000_000),
    "nine into two": (people(9), [("new", 4), ("old", 5)], Shape.TRANSFER, 900_000_000),
    "fifteen into three": (people(15), [("x", 4), ("y", 5), ("z", 6)], Shape.TRANSFER, 1_500_000_000),
    "five equal of five": (people(5), people(5, 1.0, "q"), Shape.COINJOIN, 500_000_000),
    "five equal and change": (
        people(5, 1.5),
        [*people(5, 1.0, "q"), ("p0", 0.5), ("p1", 0.5)],
        Shape.COINJOIN,
        500_000_000,
    ),
    "four equal": (people(5), [*people(4, 1.0, "q"), ("r", 0.9)], Shape.TRANSFER, 490_000_000),
    "more equal than inputs": (people(5), people(6, 0.8, "q"), Shape.TRANSFER, 480_000_000),
    "five equal of one owner": ([("a", 1.0)] * 5, people(5, 1.0, "q"), Shape.TRANSFER, 500_000_000),
    "five equal to one place": (people(5), [("q", 1.0)] * 5, Shape.TRANSFER, 500_000_000),
    "five times nothing": (people(5), [(None, 0)] * 5 + [("q", 5.0)], Shape.TRANSFER, 500_000_000),
}


@pytest.mark.parametrize("name", CASES)
def test_shapes(name: str) -> None:
    inputs, outputs, shape, value_sat = CASES[name]
    assert only(shapes(inputs, outputs)) == (shape, value_sat)


def test_a_labelled_owners_other_address_is_its_own() -> None:
    owned = {"hot": "Exchange", "cold": "Exchange", "other": "Rival"}
    assert only(shapes([("hot", 3)], [("cold", 3)], owned)) == (Shape.SELF_TRANSFER, 300_000_000)
    assert only(shapes([("hot", 3)], [("cold", 2), ("x", 1)], owned)) == (Shape.TRANSFER, 100_000_000)
    assert only(shapes([("hot", 3)], [("other", 3)], owned)) == (Shape.TRANSFER, 300_000_000)


def test_an_exchange_that_pays_equal_amounts_mixes_nothing() -> None:
    inputs, outputs = people(5), people(5, 1.0, "q")
    assert only(shapes(inputs, outputs, {"p3": "Exchange"})) == (Shape.TRANSFER, 500_000_000)


def test_large_ones_carry_their_shape() -> None:
    flows: Any = shapes(people(5, 10.0), [("new", 50.0)])
    assert [(large.value_sat, large.shape) for large in flows.large] == [(5_000_000_000, Shape.CONSOLIDATION)]
