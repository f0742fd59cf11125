"""`sigstream trace`: one signal's way, from records of the contract put there by hand."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.config import Settings
from app.model.keys import batch_key, partition_of
from app.model.receipt import Origin, Outcome, Receipt, Settled
from app.model.signal import ENCODER, Signal, SignalBatch
from app.streaming.record import make_headers
from tests.support.cli import Cli
from tests.support.probe import Probe, probe

TS = "2024-01-01T00:00:00.000007Z"
KEY = f"sigstream|BTC|{TS}"
BLOCK_HASH = "ab" * 32
ID = "trace-me"


@pytest.fixture
def run(cli: Cli, settings: Settings) -> Cli:
    """The command line on the test's own pipeline."""
    cli.use(settings)
    return cli


def batch(*names: str, ts: str = TS) -> SignalBatch:
    """A block's signals."""
    signals = [Signal(name=name, value=1.0, block_hash=BLOCK_HASH, version=1) for name in names]
    return SignalBatch(provider="sigstream", symbol="BTC", ts=ts, signals=signals, correlation_id=ID)


class Way:
    """Puts records of one key where the stages would."""

    def __init__(self, kafka: Probe) -> None:
        self.kafka = kafka
        self.topic = kafka.settings.topic
        self.key = batch_key("sigstream", "BTC", TS)
        self.partition = partition_of(self.key, kafka.settings.signal_partitions)

    async def put(self, topic: str, value: bytes, partition: int | None = None, **headers: Any) -> int:
        """One record; its offset. On the key's partition unless another is given."""
        place = self.partition if partition is None else partition
        key, correlation_id = headers.pop("key", self.key), headers.pop("correlation_id", ID)
        sent = await self.kafka.producer.send_and_wait(
            self.topic(topic),
            value,
            key=key,
            partition=place,
            headers=make_headers(correlation_id, **headers),
        )
        return int(sent.offset)

    async def block(self) -> None:
        """The block, its features, and another block's."""
        await self.put("blocks", b"{}", 2, key=b"other", height=6, correlation_id="other")
        await self.put("blocks", b"{}", 2, key=BLOCK_HASH.encode(), height=7)
        await self.put("block-features", b"{}", 0, key=b"BTC")

    async def answer(self, stage: str, topic: str, offset: int, outcomes: dict[Outcome, list[str]]) -> None:
        """A stage's receipt; what is rejected, for one reason."""
        now = datetime.now(UTC) + timedelta(milliseconds=50)  # a clock that is a little ahead
        receipt = Receipt(
            stage=stage, origin=Origin(self.topic(topic), self.partition, offset),
            provider="sigstream", symbol="BTC", ts=TS, outcomes=outcomes,
            reasons=dict.fromkeys(outcomes.get(Outcome.REJECTED, []), "too large for a double"),
            received_at=now, finished_at=now, correlation_id=ID,
        )  # fmt: skip
        await self.put("signals.persisted", ENCODER.encode(receipt))

    async def settle(self, offset: int, sinks: list[str]) -> None:
        """All sinks have answered."""
        now = datetime.now(UTC)
        settled = Settled(
            origin=Origin(self.topic("signals"), self.partition, offset), provider="sigstream", symbol="BTC",
            ts=TS, signals=2, forwarded_at=now, stages=dict.fromkeys(sinks, now), correlation_id=ID,
        )  # fmt: skip
        await self.put("signals.settled", ENCODER.encode(settled))


async def whole_way(settings: Settings) -> None:
    """A block, its two signals stored by two sinks, of which one rejects one; then the same once more."""
    async with probe(settings) as kafka:
        way = Way(kafka)
        await way.block()
        await asyncio.sleep(0.005)  # times are in milliseconds; the order of stages is what is tested
        noise = batch("a", ts="2024-01-01T00:00:00.000008Z")
        await way.put("signals.raw", ENCODER.encode(noise), key=b"noise")
        raw = await way.put("signals.raw", ENCODER.encode(batch("a", "b")))
        await asyncio.sleep(0.005)
        forwarded = await way.put("signals", ENCODER.encode(batch("a", "b")), origin_offset=raw)
        await asyncio.sleep(0.005)
        await way.answer("sqlite", "signals", forwarded, {Outcome.INSERTED: ["a", "b"]})
        rejected = {Outcome.UPDATED: ["a"], Outcome.REJECTED: ["b"]}
        await way.answer("timescale", "signals", forwarded, rejected)
        await asyncio.sleep(0.1)
        await way.settle(forwarded, ["sqlite", "timescale"])
        other = await way.put("signals", ENCODER.encode(batch("z")))  # a later record of the same key
        await way.settle(other, ["sqlite", "timescale"])
        again = await way.put("signals.raw", ENCODER.encode(batch("a", "b")))
        await way.answer("dedupe", "signals.raw", again, {Outcome.SAME: ["a", "b"]})


def steps_of(run: Cli, key: str) -> list[tuple[str, str, str | None]]:
    """Stage, outcome and reason of each step."""
    found: Any = run.json("trace", key)
    times = [datetime.fromisoformat(step["at"]) for step in found["steps"]]
    assert times == sorted(times)
    return [(step["stage"], step["outcome"], step["reason"]) for step in found["steps"]]


def test_a_signal_is_followed_from_the_block_to_the_sinks(run: Cli, settings: Settings) -> None:
    asyncio.run(whole_way(settings))
    assert steps_of(run, f"{KEY}|b") == [
        ("block", "appended", None),
        ("extract", "appended", None),
        ("receive", "2 signals", None),
        ("forward", "2 signals", None),
        ("sqlite", "inserted", None),
        ("timescale", "rejected", "too large for a double"),
        ("settle", "answered by sqlite, timescale", None),
        ("receive", "2 signals", None),
        ("dedupe", "same", None),
    ]
    assert steps_of(run, f"{KEY}|a")[5] == ("timescale", "updated", None)
    assert steps_of(run, KEY)[4:6] == [
        ("sqlite", "2 inserted", None),
        ("timescale", "1 updated, 1 rejected", "b: too large for a double"),
    ]
    shown = run("trace", KEY).stdout
    assert KEY in shown
    assert "too large for a double" in shown


def test_a_key_may_be_written_another_way(run: Cli, settings: Settings) -> None:
    asyncio.run(whole_way(settings))
    assert len(steps_of(run, "sigstream|BTC|2024-01-01T01:00:00.000007+01:00|a")) == 9


def test_nothing_known_is_an_error(run: Cli, settings: Settings) -> None:
    asyncio.run(whole_way(settings))
    for key in (f"{KEY}|c", "sigstream|ETH|2024-01-01T00:00:00Z"):
        result = run("trace", key)
        assert result.exit_code == 1
        assert "nothing is known of sigstream|" in result.stderr
        assert result.stdout == ""


def test_a_record_of_another_partition_is_followed_to_its_own(run: Cli, settings: Settings) -> None:
    async def arrange() -> int:
        async with probe(settings) as kafka:
            way = Way(kafka)
            elsewhere = (way.partition + 1) % settings.signal_partitions
            offset = await way.put("signals.raw", ENCODER.encode(batch("a")), elsewhere, key=b"foreign")
            await asyncio.sleep(0.005)
            await way.put("signals.raw", ENCODER.encode(batch("a")), rekeyed=f"{elsewhere}/{offset}")
            return elsewhere

    elsewhere = asyncio.run(arrange())
    found: Any = run.json("trace", KEY)
    first, second = found["steps"]
    assert first["partition"] == elsewhere
    assert second["partition"] != elsewhere
    assert second["reason"] == f"moved from partition/offset/time {elsewhere}/0"


def test_a_record_with_a_key_of_the_producer_s_own_is_found_by_its_answers(
    run: Cli, settings: Settings
) -> None:
    async def arrange() -> None:
        async with probe(settings) as kafka:
            way = Way(kafka)
            raw = await way.put("signals.raw", ENCODER.encode(batch("a")), key=b"any")
            await way.answer("dedupe", "signals.raw", raw, {Outcome.REJECTED: ["a"]})

    asyncio.run(arrange())
    assert steps_of(run, f"{KEY}|a") == [
        ("receive", "1 signals", None),
        ("dedupe", "rejected", "too large for a double"),
    ]


def test_a_dead_letter_says_why(run: Cli, settings: Settings) -> None:
    async def arrange() -> None:
        async with probe(settings) as kafka:
            way = Way(kafka)
            await way.put("signals.raw", b'{"provider": "sigstream"')
            await asyncio.sleep(0.005)
            place = partition_of(way.key, 4)
            await way.put("dead-letters", b"...", place, stage="dedupe", reason="not JSON: it ends early")

    asyncio.run(arrange())
    steps = steps_of(run, KEY)
    assert ("dedupe", "dead letter", "not JSON: it ends early") in steps
