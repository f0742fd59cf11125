"""What every sink must do, as a test suite to inherit: `class TestMySink(SinkContract)`.

A subclass gives the fixture `sink` (opened; closed after the test) and `latest`. Needs pytest and
pytest-asyncio. For full messages of failed assertions, put this into `conftest.py`:
`pytest.register_assert_rewrite("app.sinks.contract")`.
"""

import random
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, NamedTuple

import msgspec
import orjson
import pytest

from app.model.keys import write_ts
from app.model.receipt import Outcome
from app.model.signal import Signal, SignalBatch
from app.sinks.base import Sink, SinkRecord

INSERTED, UPDATED, UNCHANGED = Outcome.INSERTED, Outcome.UPDATED, Outcome.UNCHANGED
RETRACTED, REJECTED = Outcome.RETRACTED, Outcome.REJECTED

START = datetime(2024, 1, 31, 12, tzinfo=UTC)
TS = write_ts(START)


class Key(NamedTuple):
    """Of a signal, as on the wire."""

    provider: str
    symbol: str
    ts: str
    name: str


class Latest(NamedTuple):
    """What a store shows of a signal: its latest version."""

    value: float | None
    version: int
    digest: int
    retracted: bool
    metadata: dict[str, Any] | None
    signal_type: str | None
    block_height: int | None


class Log:
    """One partition of `signals` of the test's own: makes records, at offsets from 0 on."""

    def __init__(self) -> None:
        self.symbol = f"T{uuid.uuid4().hex[:12].upper()}"
        self.offset = 0

    def record(self, *signals: Signal, ts: str = TS) -> SinkRecord:
        """The next record."""
        batch = SignalBatch(provider="contract", symbol=self.symbol, ts=ts, signals=list(signals))
        record = SinkRecord(0, self.offset, batch, len(msgspec.json.encode(batch)))
        self.offset += 1
        return record

    def key(self, name: str = "fee", ts: str = TS) -> Key:
        """Of a signal in the log."""
        return Key("contract", self.symbol, ts, name)


def signal(version: int = 1, digest: int | None = None, name: str = "fee", **fields: Any) -> Signal:
    """A signal as dedupe forwards it; its value says version and digest."""
    digest = version * 10 if digest is None else digest
    fields = {"value": version + digest / 1000, "created_at": START, "first_seen_at": START, **fields}
    return Signal(name=name, version=version, digest=digest, **fields)


def as_latest(sent: Signal) -> Latest:
    """What a store shows once `sent` is the latest."""
    assert sent.version is not None
    assert sent.digest is not None
    metadata = sent.metadata_text()
    return Latest(
        value=sent.value,
        version=sent.version,
        digest=sent.digest,
        retracted=sent.retracted_at is not None,
        metadata=None if metadata is None else orjson.loads(metadata),
        signal_type=sent.signal_type,
        block_height=sent.block_height,
    )


@pytest.mark.asyncio
class SinkContract:
    """Inherited by the tests of each sink."""

    accepts: ClassVar[Mapping[Outcome, frozenset[Outcome]]] = {}
    """Outcome that is expected -> others that the store may say instead, as it can't know better."""

    @pytest.fixture
    def sink(self) -> Sink:
        """An opened sink; closed after the test."""
        raise NotImplementedError

    @pytest.fixture
    def log(self) -> Log:
        """Where the test's records come from."""
        return Log()

    async def latest(self, sink: Sink, keys: Sequence[Key]) -> dict[Key, Latest]:
        """What the store shows of `keys`; those it has nothing of are missing."""
        raise NotImplementedError

    async def shown(self, sink: Sink, keys: Sequence[Key]) -> set[Key]:
        """Which of `keys` the store's view of what counts now has."""
        return {key for key, row in (await self.latest(sink, keys)).items() if not row.retracted}

    def refused(self, name: str, version: int = 1) -> Signal | None:
        """A signal that the store itself refuses; None when there is none that gets as far."""
        return signal(version, name=name, metadata=msgspec.Raw(b'{"not": JSON}'))

    async def written(self, sink: Sink, *records: SinkRecord) -> list[list[Outcome]]:
        """Outcomes of one write."""
        return [[one.outcome for one in answer] for answer in await sink.write(records)]

    def check(self, said: Sequence[Sequence[Outcome]], *expected: Sequence[Outcome]) -> None:
        """Compare outcomes, with what `accepts` allows."""
        assert [len(answer) for answer in said] == [len(answer) for answer in expected]
        pairs = [pair for both in zip(said, expected, strict=True) for pair in zip(*both, strict=True)]
        wrong = [(s, e) for s, e in pairs if s != e and s not in self.accepts.get(e, frozenset())]
        assert not wrong, f"(said, expected): {wrong[:10]}"

    async def test_nothing_is_written_and_answered(self, sink: Sink, log: Log) -> None:
        assert await sink.write([]) == []
        assert await sink.write([log.record()]) == [[]]

    async def test_a_new_signal_is_inserted_with_all_it_says(self, sink: Sink, log: Log) -> None:
        sent = signal(
            score=-0.5,
            signal_type="miner",
            block_height=840_000,
            block_hash="00" * 32,
            block_time=START,
            confidence=0.25,
            metadata=msgspec.Raw(b'{"pool":"F2Pool","shares":[1,2.5,null,"\xc3\xa9"]}'),
            canonical_key="btc-Main",
            correlation_id="a-b-c",
        )
        self.check(await self.written(sink, log.record(sent)), [INSERTED])
        assert await self.latest(sink, [log.key()]) == {log.key(): as_latest(sent)}

    async def test_what_was_never_written_is_not_there(self, sink: Sink, log: Log) -> None:
        await sink.write([log.record(signal())])
        assert await self.latest(sink, [log.key("other"), log.key(ts=write_ts(START + timedelta(1)))]) == {}

    async def test_the_same_record_again_changes_nothing(self, sink: Sink, log: Log) -> None:
        record = log.record(signal(), signal(name="weight"))
        await sink.write([record])
        self.check(await self.written(sink, record), [UNCHANGED, UNCHANGED])
        assert (await self.latest(sink, [log.key()]))[log.key()] == as_latest(signal())

    async def test_the_same_signal_in_a_later_record_changes_nothing(self, sink: Sink, log: Log) -> None:
        await sink.write([log.record(signal())])
        self.check(await self.written(sink, log.record(signal())), [UNCHANGED])
        assert (await self.latest(sink, [log.key()]))[log.key()] == as_latest(signal())

    async def test_a_newer_version_is_an_update(self, sink: Sink, log: Log) -> None:
        newer = signal(2, metadata=msgspec.Raw(b'{"why":"formula 2"}'))
        await sink.write([log.record(signal(1))])
        self.check(await self.written(sink, log.record(newer)), [UPDATED])
        assert (await self.latest(sink, [log.key()]))[log.key()] == as_latest(newer)

    async def test_an_older_version_changes_nothing(self, sink: Sink, log: Log) -> None:
        await sink.write([log.record(signal(5))])
        self.check(await self.written(sink, log.record(signal(4, digest=999))), [UNCHANGED])
        assert (await self.latest(sink, [log.key()]))[log.key()] == as_latest(signal(5))

    async def test_at_equal_versions_the_larger_digest_wins(self, sink: Sink, log: Log) -> None:
        await sink.write([log.record(signal(5, digest=20))])
        self.check(await self.written(sink, log.record(signal(5, digest=21))), [UPDATED])
        self.check(await self.written(sink, log.record(signal(5, digest=19))), [UNCHANGED])
        assert (await self.latest(sink, [log.key()]))[log.key()] == as_latest(signal(5, digest=21))

    async def test_an_equal_digest_only_raises_the_version(self, sink: Sink, log: Log) -> None:
        await sink.write([log.record(signal(5, digest=20, value=1.0))])
        again = signal(8, digest=20, value=1.0)
        self.check(await self.written(sink, log.record(again)), [UNCHANGED])
        self.check(await self.written(sink, log.record(signal(7, digest=99))), [UNCHANGED])
        assert (await self.latest(sink, [log.key()]))[log.key()] == as_latest(again)

    async def test_a_signal_is_retracted_and_comes_back(self, sink: Sink, log: Log) -> None:
        taken_back = signal(2, retracted_at=START)
        await sink.write([log.record(signal(1))])
        self.check(await self.written(sink, log.record(taken_back)), [RETRACTED])
        assert (await self.latest(sink, [log.key()]))[log.key()] == as_latest(taken_back)
        assert await self.shown(sink, [log.key()]) == set()
        self.check(await self.written(sink, log.record(signal(3))), [UPDATED])
        assert (await self.latest(sink, [log.key()]))[log.key()] == as_latest(signal(3))
        assert await self.shown(sink, [log.key()]) == {log.key()}

    async def test_a_retraction_of_what_never_came_is_kept(self, sink: Sink, log: Log) -> None:
        taken_back = signal(2, retracted_at=START)
        self.check(await self.written(sink, log.record(taken_back)), [RETRACTED])
        self.check(await self.written(sink, log.record(signal(1))), [UNCHANGED])
        assert (await self.latest(sink, [log.key()]))[log.key()] == as_latest(taken_back)

    @pytest.mark.parametrize("stored", [False, True], ids=["new", "stored"])
    @pytest.mark.parametrize("versions", [(2, 3), (3, 2)], ids=["rising", "falling"])
    async def test_two_records_with_one_key_in_a_write(
        self, sink: Sink, log: Log, versions: tuple[int, int], stored: bool
    ) -> None:
        if stored:
            await sink.write([log.record(signal(1))])
        said = await self.written(sink, *(log.record(signal(v)) for v in versions), log.record(signal(2)))
        first = UPDATED if stored else INSERTED
        self.check(said, [first], [UPDATED if versions == (2, 3) else UNCHANGED], [UNCHANGED])
        assert (await self.latest(sink, [log.key()]))[log.key()] == as_latest(signal(3))

    async def test_the_same_record_twice_in_a_write(self, sink: Sink, log: Log) -> None:
        record = log.record(signal(), signal(name="weight"))
        said = await self.written(sink, record, record)
        self.check(said, [INSERTED, INSERTED], [UNCHANGED, UNCHANGED])
        assert len(await self.latest(sink, [log.key(), log.key("weight")])) == 2

    async def test_one_name_twice_in_a_record(self, sink: Sink, log: Log) -> None:
        said = await self.written(sink, log.record(signal(2), signal(1), signal(3)))
        self.check(said, [INSERTED, UNCHANGED, UPDATED])
        assert (await self.latest(sink, [log.key()]))[log.key()] == as_latest(signal(3))

    @pytest.mark.parametrize("seed", range(3))
    async def test_any_history_in_any_cut_gives_the_same(self, sink: Sink, log: Log, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - repeatable
        names = ["a", "b", "c"]
        sent = [
            signal(chance.randint(1, 6), chance.randint(1, 4), chance.choice(names), value=1.0)
            for _ in range(40)
        ]
        said: list[Outcome] = []
        records = [log.record(one) for one in sent]
        while records:
            size = chance.randint(1, 9)
            said += [one for answer in await self.written(sink, *records[:size]) for one in answer]
            del records[:size]
        expected, known = _one_after_the_other(sent)
        self.check([said], expected)
        found = await self.latest(sink, [log.key(name) for name in names])
        assert {key.name: (one.version, one.digest) for key, one in found.items()} == known

    async def test_answers_are_in_the_order_of_records_and_signals(self, sink: Sink, log: Log) -> None:
        await sink.write([log.record(signal(2, name="same"), signal(2, name="old"), signal(2, name="new"))])
        later = write_ts(START + timedelta(microseconds=1))
        said = await self.written(
            sink,
            log.record(signal(3, name="new"), signal(1, name="old"), signal(1, name="first")),
            log.record(),
            log.record(signal(3, name="old"), signal(2, name="same")),
            log.record(signal(1, name="new"), ts=later),
        )
        self.check(said, [UPDATED, UNCHANGED, INSERTED], [], [UPDATED, UNCHANGED], [INSERTED])

    async def test_names_may_be_any_text(self, sink: Sink, log: Log) -> None:
        names = ["größe", "费率", "🐋 whale", "a'b\"c\\d", "tab\tand\nline", "%s {} $1", "NULL", "\\N", "x|y"]
        said = await self.written(sink, log.record(*(signal(name=name) for name in names)))
        self.check(said, [INSERTED] * len(names))
        found = await self.latest(sink, [log.key(name) for name in names])
        assert {key.name for key in found} == set(names)

    @pytest.mark.parametrize("size", [5, 2000])
    async def test_a_refused_signal_is_left_out_alone(self, sink: Sink, log: Log, size: int) -> None:
        bad = self.refused("bad")
        if bad is None:
            return
        names = [f"s{i}" for i in range(size)]
        good = [signal(name=name) for name in names]
        middle = size // 2
        answers = await sink.write([log.record(*good[:middle], bad, *good[middle:-1]), log.record(good[-1])])
        said = [one for answer in answers for one in answer]
        self.check(
            [[one.outcome for one in said]], [*[INSERTED] * middle, REJECTED, *[INSERTED] * (size - middle)]
        )
        assert said[middle].reason
        assert all(one.reason is None for one in said if one.outcome is not REJECTED)
        found = await self.latest(sink, [log.key(name) for name in [*names, "bad"]])
        assert {key.name for key in found} == set(names)

    async def test_a_refused_version_does_not_hide_the_one_before(self, sink: Sink, log: Log) -> None:
        bad = self.refused("fee", version=9)
        if bad is None:
            return
        said = await self.written(sink, log.record(signal(1)), log.record(bad), log.record(signal(2)))
        self.check(said, [INSERTED], [REJECTED], [UPDATED])
        assert (await self.latest(sink, [log.key()]))[log.key()] == as_latest(signal(2))

    async def test_thousands_in_one_write(self, sink: Sink, log: Log) -> None:
        times = [write_ts(START + timedelta(seconds=i)) for i in range(60)]
        names = [f"s{i}" for i in range(100)]
        records = [log.record(*(signal(name=name) for name in names), ts=ts) for ts in times]
        self.check(await self.written(sink, *records), *[[INSERTED] * 100] * 60)
        found = await self.latest(sink, [log.key(name, ts) for ts in times for name in names[::25]])
        assert len(found) == 240
        changed = log.record(
            *(signal(2 if i % 2 else 1, name=name) for i, name in enumerate(names)), ts=times[7]
        )
        said = await self.written(sink, changed, *records[10:40])
        self.check(said, [UNCHANGED, UPDATED] * 50, *[[UNCHANGED] * 100] * 30)

    async def test_a_healthy_store_says_so(self, sink: Sink) -> None:
        await sink.health()

    async def test_opening_again_keeps_what_is_stored(self, sink: Sink, log: Log) -> None:
        await sink.write([log.record(signal())])
        await sink.open()
        self.check(await self.written(sink, log.record(signal(2))), [UPDATED])


def _one_after_the_other(sent: Sequence[Signal]) -> tuple[list[Outcome], dict[str, tuple[int, int]]]:
    """The rule, written down once more, as plainly as it goes."""
    outcomes: list[Outcome] = []
    known: dict[str, tuple[int, int]] = {}
    for one in sent:
        assert one.version is not None
        assert one.digest is not None
        before, mine = known.get(one.name), (one.version, one.digest)
        known[one.name] = mine if before is None else max(before, mine)
        if before is None:
            outcomes.append(INSERTED)
        else:
            changed = mine > before and mine[1] != before[1]
            outcomes.append(UPDATED if changed else UNCHANGED)
    return outcomes, known
