"""What a dry run says that a history would get."""

import pytest

from app.model.signal import Signal, SignalBatch
from app.replay.dry import appended
from app.replay.stored import Held, Key
from app.sinks.base import SinkRecord
from app.sinks.bigquery.encode import Pending
from app.sinks.bigquery.history import History, missing
from app.sinks.rows import Known, Row, flatten

TS = "2026-01-01T00:00:00.000000Z"
KEY: Key = ("p", "S", TS, "a")
HELD = ((2, 7), (5, 8))


def row(version: int, digest: int) -> Row:
    signal = Signal(name="a", value=1.0, version=version, digest=digest)
    batch = SignalBatch(provider="p", symbol="S", ts=TS, signals=[signal])
    return flatten([SinkRecord(0, 0, batch, 10)])[0]


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        ([(5, 8)], 0),  # is there
        ([(2, 7)], 0),
        ([(3, 8)], 0),  # older, with the content of the latest
        ([(3, 7)], 1),  # older, with another content
        ([(6, 8)], 1),  # newer, whatever it says
        ([(6, 9), (6, 9)], 1),  # twice in one write
        ([(6, 9), (7, 9), (4, 9)], 3),
    ],
)
def test_a_dry_run_counts_the_rows_that_the_sink_appends(orders: list[Known], expected: int) -> None:
    rows = [row(*order) for order in orders]
    held, history = Held(), History()
    for order in HELD:
        held.add(order, 1.0)
        history.add(rows[0].signal_id, order, None)
    assert appended([(each, TS) for each in rows], {KEY: held}) == expected
    assert len(missing([Pending(each, "n") for each in rows], history)) == expected
