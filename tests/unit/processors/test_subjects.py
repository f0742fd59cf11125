"""What is said of several owners together."""

from itertools import permutations

from app.model.features import EntityFlow
from app.processors.subjects import label_quality


def inflow(flow: EntityFlow) -> int:
    return flow.inflow_sat


def test_the_order_of_owners_changes_no_bit_of_their_quality() -> None:
    """A confidence that differs in its last digit is another signal to dedupe and to every store."""
    flows = [
        EntityFlow(entity=f"E{number}", kind="exchange", confidence=0.9 / number, inflow_sat=7**number)
        for number in range(2, 8)
    ]
    assert len({label_quality(order, inflow) for order in permutations(flows)}) == 1
