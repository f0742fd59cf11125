"""From rows to what is appended: encoding, splitting, and what the history makes of them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.model.receipt import Outcome
from app.sinks.bigquery.encode import MAX_REQUEST_BYTES, Pending, pending, requests
from app.sinks.bigquery.history import History, judge_all, missing
from app.sinks.bigquery.schema import COLUMNS, DESCRIPTOR, RowMessage
from app.sinks.rows import Row, replay


def row(version: int = 1, digest: int = 1, name: str = "fee", **fields: Any) -> Row:
    values: dict[str, Any] = dict.fromkeys(Row._fields)
    values |= {"signal_id": f"id-{name}", "provider": "chain", "symbol": "BTC", "name": name, "value": 1.0}
    values |= {"ts": datetime(2026, 1, 1, tzinfo=UTC), "kafka_partition": 0, "kafka_offset": 0}
    return Row(**(values | {"version": version, "digest": digest} | fields))


def decoded(one: Pending) -> dict[str, Any]:
    message = RowMessage.FromString(one.payload)
    return {field.name: value for field, value in message.ListFields()}


def test_every_column_has_a_field_and_every_field_of_a_row_a_column() -> None:
    columns = [column.name for column in COLUMNS]
    assert [field.name for field in DESCRIPTOR.field] == columns
    assert set(Row._fields) < set(columns)


def test_times_are_microseconds_since_1970_and_nulls_are_left_out() -> None:
    made = decoded(pending(row(block_time=datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)), "ns"))

    assert made["block_time"] == -1
    assert made["namespace"] == "ns"
    assert "score" not in made


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"block_height": 2**63}, "not to be written as a row"),
        ({"outcome": "\ud800"}, "not to be written as a row"),
        ({"block_hash": "x" * MAX_REQUEST_BYTES}, "more than one append takes"),
    ],
)
def test_a_row_that_can_not_be_written_is_a_stub(fields: dict[str, Any], reason: str) -> None:
    made = pending(row(**fields), "ns")

    assert made.refused is not None
    assert reason in made.refused
    stub = decoded(made)
    assert stub["refused"] == made.refused
    assert stub["signal_id"] == "id-fee"
    assert "value" not in stub


def test_a_request_holds_what_fits_and_keeps_the_order() -> None:
    rows = [pending(row(name=f"n{i}", block_hash="x" * 100 * i), "ns") for i in range(20)]

    chunks = list(requests(rows, limit=2_000))

    assert [one for chunk in chunks for one in chunk] == rows
    assert all(sum(len(one.payload) for one in chunk) <= 2_000 for chunk in chunks if len(chunk) > 1)
    assert 1 < len(chunks) < 20


VERSIONS = st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from("ab"))


@given(stored=st.lists(VERSIONS, max_size=4), sent=st.lists(VERSIONS, max_size=12))
def test_outcomes_are_those_of_one_after_the_other_and_no_version_is_appended_twice(
    stored: list[tuple[int, int, str]], sent: list[tuple[int, int, str]]
) -> None:
    history = History()
    for version, digest, name in stored:
        history.add(f"id-{name}", (version, digest), None)
    before = dict(history.latest)
    rows = [Pending(row(version, digest, name), "ns") for version, digest, name in sent]

    appended = missing(rows, history)
    written = judge_all(rows, history)

    new = {(name, v, d) for v, d, name in sent} - {(name, v, d) for v, d, name in stored}
    told = {(name, v, d) for name, v, d in new if says_nothing(v, d, before.get(f"id-{name}"))}
    assert sorted((p.row.name, *p.order) for p in appended) == sorted(new - told)
    for name in "ab":
        mine = [index for index, one in enumerate(rows) if one.row.name == name]
        expected = replay([rows[index].row for index in mine], before.get(f"id-{name}"))
        found = [written[index].outcome for index in mine]
        unseen = [written[index] for index in mine]
        assert len(unseen) == len(expected)
        assert found == [one.outcome for one in expected]


def says_nothing(version: int, digest: int, latest: tuple[int, int] | None) -> bool:
    """An older version with the content of the latest one."""
    return latest is not None and digest == latest[1] and version < latest[0]


def test_a_stub_answers_for_its_version_and_for_no_other() -> None:
    history = History()
    history.add("id-fee", (5, 5), "too odd")
    rows = [Pending(row(5, 5), "ns"), Pending(row(4, 4), "ns")]

    assert [one.row.version for one in missing(rows, history)] == [4]
    first, second = judge_all(rows, history)
    assert (first.outcome, first.reason) == (Outcome.REJECTED, "too odd")
    assert second.outcome is Outcome.INSERTED
