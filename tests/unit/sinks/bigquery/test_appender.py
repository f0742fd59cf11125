"""Which row is to blame: the ways of refusing that the emulator does not have."""

from collections.abc import Sequence
from typing import Any, cast

import pytest

from app.errors import Terminal, Transient
from app.sinks.bigquery.appender import append_rows
from app.sinks.bigquery.encode import Pending
from app.sinks.bigquery.history import History
from app.sinks.bigquery.streams import PartitionStream, RowsRefused, StreamLost
from app.sinks.rows import Row


def rows(count: int) -> list[Pending]:
    empty: dict[str, Any] = dict.fromkeys(Row._fields)
    made = []
    for n in range(count):
        one = Pending(Row(**(empty | {"signal_id": str(n), "version": n, "digest": 0})), "ns")
        one.payload = str(n).encode()
        made.append(one)
    return made


class Rule:
    """A stream that takes rows by a rule; a stub's payload is never a number."""

    def __init__(self, bad: set[bytes], *, says_which: bool = False, breaks: bool = False) -> None:
        self.sound = True
        self.bad, self.says_which, self.breaks = bad, says_which, breaks
        self.takes_stubs = True
        self.stored: list[bytes] = []
        self.appends = 0

    async def ready(self) -> None:
        self.sound = True

    async def append(self, payloads: Sequence[bytes]) -> None:
        self.appends += 1
        wrong = {n: "odd" for n, payload in enumerate(payloads) if self._is_wrong(payload)}
        if wrong:
            self.sound = not self.breaks
            raise RowsRefused("some row is odd", wrong if self.says_which else None)
        self.stored += payloads

    def _is_wrong(self, payload: bytes) -> bool:
        return payload in self.bad if payload.isdigit() else not self.takes_stubs


@pytest.fixture(autouse=True)
def _stubs(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Pending, reason: str) -> None:
        self.refused, self.payload = reason, b"stub of " + self.payload

    monkeypatch.setattr(Pending, "refuse", refuse)


async def store(rule: Rule, pending: Sequence[Pending]) -> None:
    async def look(asked: Sequence[Pending]) -> History:
        history = History()
        for one in asked:
            if one.payload in rule.stored:
                history.add(one.row.signal_id, one.order, one.refused)
        return history

    await append_rows(cast("PartitionStream", rule), pending, look)


@pytest.mark.parametrize("breaks", [False, True])
@pytest.mark.parametrize("says_which", [False, True])
@pytest.mark.parametrize("bad", [{0}, {9}, {3, 4}, set(range(10))])
async def test_the_bad_rows_become_stubs_and_the_others_are_stored(
    bad: set[int], says_which: bool, breaks: bool
) -> None:
    rule = Rule({str(n).encode() for n in bad}, says_which=says_which, breaks=breaks)
    pending = rows(10)

    await store(rule, pending)

    assert {n for n, one in enumerate(pending) if one.refused} == bad
    assert sorted(rule.stored) == sorted(one.payload for one in pending)


async def test_one_bad_row_of_many_is_found_by_halving() -> None:
    rule = Rule({b"700"})
    await store(rule, rows(1000))
    assert rule.appends < 25


@pytest.mark.parametrize(("breaks", "error"), [(False, Terminal), (True, Transient)])
async def test_where_even_a_stub_is_refused_it_is_not_for_the_row(
    breaks: bool, error: type[Exception]
) -> None:
    rule = Rule({b"0", b"1"}, breaks=breaks)
    rule.takes_stubs = False

    with pytest.raises(error):
        await store(rule, rows(2))
    assert rule.stored == []


async def test_a_stream_that_is_lost_for_ever_is_left_to_the_worker() -> None:
    class Lost(Rule):
        async def append(self, payloads: Sequence[bytes]) -> None:
            self.appends += 1
            self.sound = False
            raise StreamLost("gone")

    rule = Lost(set())
    with pytest.raises(Transient, match="again and again"):
        await store(rule, rows(1))
    assert rule.appends == 3


@pytest.mark.parametrize("failure", [StreamLost("gone"), RowsRefused("broken pipe")])
async def test_what_got_in_before_the_answer_was_lost_is_not_appended_again(failure: Exception) -> None:
    class Mute(Rule):
        async def append(self, payloads: Sequence[bytes]) -> None:
            await super().append(payloads)
            if self.appends == 1:
                self.sound = False
                raise failure

    rule, pending = Mute(set()), rows(10)
    await store(rule, pending)

    assert rule.stored == [one.payload for one in pending]
    assert not any(one.refused for one in pending)
