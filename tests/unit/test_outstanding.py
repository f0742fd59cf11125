"""What is waited for, and when a record is settled, in whatever order record and receipts come."""

from datetime import UTC, datetime
from itertools import permutations

import pytest

from app.model.receipt import Origin, Outcome, Receipt
from app.model.signal import Signal, SignalBatch
from app.outstanding import Entry, Progress, advance, expect, is_repeat, settled, take

NOW = datetime(2026, 1, 5, tzinfo=UTC)
ORIGIN = Origin("ns.signals", 3, 7)
BATCH = SignalBatch(
    provider="p", symbol="S", ts="t", signals=[Signal(name="a", value=1.0)], correlation_id="c"
)


def receipt(sink: str, outcome: Outcome = Outcome.INSERTED) -> Receipt:
    reasons = {"a": "too large"} if outcome is Outcome.REJECTED else {}
    return Receipt(
        stage=sink, origin=ORIGIN, provider="p", symbol="S", ts="t", outcomes={outcome: ["a"]},
        reasons=reasons, received_at=NOW, finished_at=NOW,
    )  # fmt: skip


@pytest.mark.parametrize("order", list(permutations(["record", "one", "two"])))
def test_settled_once_the_record_and_all_receipts_are_there(order: tuple[str, ...]) -> None:
    entry, progress = Entry(), Progress()
    for number, event in enumerate(order):
        assert settled(entry) is None, f"settled before {order[number:]}"
        if event == "record":
            expect(entry, progress, BATCH, ORIGIN, NOW, ["one", "two"])
        else:
            assert take(entry, progress, receipt(event))
    done = settled(entry)
    assert done is not None
    assert set(done.stages) == {"one", "two"}
    assert progress.outstanding in ({"one": 0, "two": 0}, {"one": 0}, {"two": 0}, {})


def test_a_receipt_counts_once() -> None:
    entry, progress = Entry(), Progress()
    expect(entry, progress, BATCH, ORIGIN, NOW, ["one", "two"])
    assert take(entry, progress, receipt("one"))
    assert not take(entry, progress, receipt("one"))
    assert progress.outstanding == {"one": 0, "two": 1}


def test_a_sink_that_is_not_required_settles_nothing() -> None:
    entry, progress = Entry(), Progress()
    expect(entry, progress, BATCH, ORIGIN, NOW, ["one"])
    take(entry, progress, receipt("other"))
    assert settled(entry) is None
    assert progress.outstanding == {"one": 1}


def test_rejections_are_told() -> None:
    entry, progress = Entry(), Progress()
    expect(entry, progress, BATCH, ORIGIN, NOW, ["one"])
    take(entry, progress, receipt("one", Outcome.REJECTED))
    done = settled(entry)
    assert done is not None
    assert done.rejected == {"one": {"a": "too large"}}


@pytest.mark.parametrize(
    ("offset", "origin", "repeat"),
    [(10, 5, False), (10, 4, True), (10, 3, True), (9, 9, True), (10, None, False)],
)
def test_a_record_is_a_repeat_when_its_origin_is_not_above_the_last(
    offset: int, origin: int | None, repeat: bool
) -> None:
    progress = Progress()
    advance(progress, 9, 4)
    assert is_repeat(progress, offset, origin) is repeat
