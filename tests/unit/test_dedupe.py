"""The decision of dedupe: a table of cases, and that the order of arrival does not matter."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dedupe import Fate, Known, Seen, decide, digest_of, fate, pack, touched_ms, unpack
from app.model.receipt import Outcome
from app.model.signal import Signal, SignalBatch

NOW = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("signal", "known", "expected", "latest"),
    [
        (Known(1, 5), Known(1, 5), Fate.SAME, Known(1, 5)),
        (Known(2, 5), Known(1, 5), Fate.SAME, Known(2, 5)),
        (Known(1, 5), Known(2, 5), Fate.SAME, Known(2, 5)),
        (Known(2, 4), Known(1, 5), Fate.CHANGED, Known(2, 4)),
        (Known(1, 6), Known(1, 5), Fate.CHANGED, Known(1, 6)),
        (Known(1, 4), Known(1, 5), Fate.OLDER, Known(1, 5)),
        (Known(1, 9), Known(2, 5), Fate.OLDER, Known(2, 5)),
    ],
)
def test_fate(signal: Known, known: Known, expected: Fate, latest: Known) -> None:
    assert fate(signal, known) == (expected, latest)


KNOWN = st.builds(Known, st.integers(0, 4), st.integers(0, 4))


@given(st.lists(KNOWN, min_size=1).flatmap(lambda found: st.tuples(st.just(found), st.permutations(found))))
def test_any_order_ends_with_the_same_signal(both: tuple[list[Known], list[Known]]) -> None:
    ends = []
    for order in both:
        known, *others = order
        for signal in others:
            _, known = fate(signal, known)
        ends.append(known)
    assert ends[0] == ends[1] == max(both[0])


def batch(*signals: Signal) -> SignalBatch:
    return SignalBatch(provider="p", symbol="S", ts="2026-01-05T14:30:00.000000Z", signals=list(signals))


def judge(
    found: SignalBatch, seen: Seen | None = None, version: int = 10
) -> tuple[list[str], dict[Outcome, list[str]], Seen]:
    verdict = decide(found, {}, seen, version=version, now=NOW, lifetime_ms=30 * DAY_MS)
    kept = verdict.seen or seen or Seen(0, {})
    return [s.name for s in verdict.forward.signals] if verdict.forward else [], verdict.outcomes, kept


def test_only_what_changed_of_a_batch_is_forwarded() -> None:
    first, _, seen = judge(batch(Signal(name="a", value=1.0), Signal(name="b", value=2.0)))
    again, outcomes, _ = judge(
        batch(Signal(name="a", value=1.0), Signal(name="b", value=3.0)), seen, version=11
    )
    assert (first, again) == (["a", "b"], ["b"])
    assert outcomes == {Outcome.SAME: ["a"]}


def test_a_lower_version_is_older_and_forgotten() -> None:
    _, _, seen = judge(batch(Signal(name="a", value=1.0, version=5)))
    forwarded, outcomes, after = judge(batch(Signal(name="a", value=9.0, version=4)), seen)
    assert (forwarded, outcomes, after) == ([], {Outcome.OLDER: ["a"]}, seen)


def test_of_two_signals_of_one_name_the_later_one_is_forwarded() -> None:
    found = batch(Signal(name="a", value=1.0, version=1), Signal(name="a", value=2.0, version=2))
    verdict = decide(found, {}, None, version=0, now=NOW, lifetime_ms=DAY_MS)
    assert verdict.forward is not None
    assert [s.value for s in verdict.forward.signals] == [2.0]


def test_a_retraction_is_a_change() -> None:
    _, _, seen = judge(batch(Signal(name="a", value=1.0)))
    forwarded, _, _ = judge(batch(Signal(name="a", value=1.0, retracted_at=NOW)), seen, version=11)
    assert forwarded == ["a"]


@pytest.mark.parametrize(
    ("signal", "reason"),
    [
        (Signal(name="a", value=None), "NaN and infinities"),
        (Signal(name="a", value=float("inf")), "finite"),
        (Signal(name="a", value=1.0, score=float("nan")), "`score`"),
        (Signal(name="", value=1.0), "0 characters"),
        (
            Signal(name="a", value=1.0, metadata=msgspec.Raw(b'{"x":["\\u0000"]}')),
            r"`metadata` holds U\+0000",
        ),
        (Signal(name="a", value=1.0, metadata=msgspec.Raw(b"[1]")), "JSON object"),
        (Signal(name="a", value=1.0, metadata=msgspec.Raw(b'{"x":"' + b"y" * 64_000 + b'"}')), "64008 bytes"),
    ],
)
def test_what_can_not_be_stored_is_refused_alone(signal: Signal, reason: str) -> None:
    verdict = decide(
        batch(signal, Signal(name="good", value=1.0)), {}, None, version=1, now=NOW, lifetime_ms=DAY_MS
    )
    assert verdict.forward is not None
    assert [s.name for s in verdict.forward.signals] == ["good"]
    assert verdict.outcomes == {Outcome.REJECTED: [signal.name]}
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(verdict.reasons[signal.name])


def test_an_escaped_backslash_is_not_a_nul() -> None:
    forwarded, _, _ = judge(batch(Signal(name="a", value=1.0, metadata=msgspec.Raw(rb'{"x":"\\u0000"}'))))
    assert forwarded == ["a"]


def test_the_digest_ignores_the_order_of_metadata_and_what_is_not_content() -> None:
    one = Signal(name="a", value=1.0, metadata=msgspec.Raw(b'{"x":1,"y":2}'), version=1, correlation_id="c")
    two = Signal(name="a", value=1.0, metadata=msgspec.Raw(b'{"y":2,"x":1}'), version=2, created_at=NOW)
    judge(batch(one))
    judge(batch(two))
    assert one.digest == two.digest == digest_of(one)
    assert 0 <= digest_of(one) < 2**63
    assert digest_of(Signal(name="a", value=1.5)) != digest_of(Signal(name="a", value=1.0))


def test_touching_a_key_again_is_written_once_a_day() -> None:
    _, _, seen = judge(batch(Signal(name="a", value=1.0, version=1)))
    soon = decide(
        batch(Signal(name="a", value=1.0, version=1)), {}, seen, version=1, now=NOW, lifetime_ms=30 * DAY_MS
    )
    old = Seen(seen.touched_ms - 2 * DAY_MS, seen.names)
    later = decide(
        batch(Signal(name="a", value=1.0, version=1)), {}, old, version=1, now=NOW, lifetime_ms=30 * DAY_MS
    )
    assert soon.seen is None
    assert later.seen == Seen(NOW_MS, seen.names)


def test_pack_and_unpack() -> None:
    seen = Seen(NOW_MS, {"a": Known(2**60, 2**63 - 1), "é": Known(0, 0)})
    assert unpack(pack(seen)) == seen
    assert touched_ms(pack(seen)) == NOW_MS
