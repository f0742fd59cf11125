"""`sigstream dlq`: dead letters found, shown, sent again through a real worker, and counted as dealt with."""

import asyncio
import os
import pty
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import msgspec
import orjson
import pytest
from confluent_kafka import Producer

from app.config import Settings
from app.embedded.ports import free_port
from app.errors import ContractError
from app.model.keys import batch_key, partition_of, version_of
from app.model.signal import BATCH_DECODER
from app.sources.files import read_block_file
from app.streaming.dead_letters import dead_letter
from app.streaming.record import Headers, Record
from tests.support.cli import Cli
from tests.support.probe import Probe, probe, until
from tests.support.processes import ROOT, Worker, environment, worker
from tests.support.signals import forwarded

BLOCK = Path(__file__).parents[2] / "fixtures" / "blocks" / "150013.json.zst"
NOT_TEXT = b"\xff\xfe\x00 neither JSON nor UTF-8"
TS = "2024-03-01T14:30:00.000000Z"


@pytest.fixture
def run(cli: Cli, settings: Settings) -> Cli:
    """The command line on the test's own pipeline."""
    cli.use(settings)
    return cli


def on_kafka(settings: Settings, work: Callable[[Probe], Awaitable[Any]]) -> Any:
    """What `work` returns, given a look into Kafka."""

    async def main() -> Any:
        async with probe(settings) as kafka:
            return await work(kafka)

    return asyncio.run(main())


def read(settings: Settings, topic: str) -> list[Record]:
    return list(on_kafka(settings, lambda kafka: kafka.read(topic)))


def until_there(settings: Settings, topic: str, count: int, running: Worker) -> list[Record]:
    """Records of a topic once there are so many, while the worker lives."""

    async def wait(kafka: Probe) -> list[Record]:
        async def enough() -> bool:
            assert running.returncode is None, running.log
            return await kafka.count(topic) >= count

        await until(enough, f"{count} records on {topic}", log=lambda: running.log)
        return await kafka.read(topic)

    return list(on_kafka(settings, wait))


def send(
    settings: Settings,
    topic: str,
    value: bytes | None,
    key: bytes | None,
    headers: Headers | None = None,
    partition: int | None = None,
) -> Any:
    """One record; Kafka's answer."""
    return on_kafka(
        settings,
        lambda kafka: kafka.producer.send_and_wait(
            settings.topic(topic), value, key=key, headers=headers or [], partition=partition
        ),
    )


def record(settings: Settings, key: bytes, value: bytes | None = b"{}", **headers: bytes) -> Record:
    """A record of `blocks` that somebody failed on."""
    return Record(settings.topic("blocks"), 1, 7, 1_700_000_000_000, key, value, headers)


def bury(settings: Settings, *letters: tuple[Record, str, BaseException]) -> list[str]:
    """Put dead letters there as a stage would, in this order; their places."""

    async def put(kafka: Probe) -> list[str]:
        places = []
        for buried, stage, error in letters:
            key, value, headers = dead_letter(buried, stage, error)
            topic = settings.topic("dead-letters")
            sent = await kafka.producer.send_and_wait(topic, value, key=key, headers=headers)
            places.append(f"{sent.partition}/{sent.offset}")
            await asyncio.sleep(0.01)  # the broker's time, in milliseconds, tells the order
        return places

    return list(on_kafka(settings, put))


def places(run: Cli, *arguments: str) -> list[str]:
    found: Any = run.json("dlq", "list", *arguments)
    return [letter["place"] for letter in found]


def three(settings: Settings) -> list[str]:
    """Letters of three stages."""
    return bury(
        settings,
        (record(settings, b"one"), "blocks", ContractError("block: not JSON")),
        (record(settings, b"two"), "dedupe", ContractError("`symbol` is 'spy', not upper case")),
        (record(settings, b"three"), "sink.sqlite", ValueError("what nobody thought of")),
    )


def test_filters_narrow_the_list(run: Cli, settings: Settings) -> None:
    one, two, three_ = there = three(settings)
    assert places(run) == there
    assert places(run, "--stage", "dedupe") == [two]
    assert places(run, "--reason", "NOT JSON") == [one]
    assert places(run, "--key", "three") == [three_]
    assert places(run, "--key", "thre") == []
    assert places(run, "--limit", "2") == [one, two]
    found: Any = run.json("dlq", "list")
    assert places(run, "--since", found[1]["time"]) == [two, three_]
    assert places(run, "--until", found[1]["time"]) == [one]
    assert places(run, "--since", found[1]["time"], "--until", found[2]["time"]) == [two]
    assert places(run, "--since", (datetime.now(UTC) + timedelta(hours=1)).isoformat()) == []


def test_the_list_says_what_there_is_to_know(run: Cli, settings: Settings) -> None:
    one, _, three_ = three(settings)
    found: Any = run.json("dlq", "list")
    assert found[0] | {"time": None} == {
        "place": one,
        "time": None,
        "state": "open",
        "handled_at": None,
        "stage": "blocks",
        "class": "ContractError",
        "reason": "block: not JSON",
        "origin": f"{settings.topic('blocks')}/1/7",
        "attempts": 1,
        "replay_attempts": 0,
        "correlation_id": None,
        "key": "one",
        "value_bytes": 2,
        "left_at_origin": None,
    }
    table = run("dlq", "list").stdout
    for text in ("3 of 3 open letters", one, three_, "sink.sqlite", "ValueError: what nobody thought of"):
        assert text in table
    assert "1 of 3 open letters" in run("dlq", "list", "--limit", "1").stdout
    for width in ("80", "120", "160"):
        run.environment["COLUMNS"] = width
        table = run("dlq", "list").stdout
        assert all(text in table for text in (one, "sink.sqlite", "`symbol` is 'spy', not u"))
        assert ("ContractError" in table, "blocks/1/7" in table) == (width != "80",) * 2


def test_dropped_letters_are_not_open_and_not_replayed(run: Cli, settings: Settings) -> None:
    one, two, three_ = three(settings)
    assert run("dlq", "drop", one, "--yes").stdout == f"{one} dropped\n"
    assert places(run) == [two, three_]
    found: Any = run.json("dlq", "list", "--all")
    assert [letter["state"] for letter in found] == ["dropped", "open", "open"]
    assert found[0]["handled_at"] is not None
    assert run("dlq", "drop", "--stage", "dedupe", "--yes").exit_code == 0
    assert places(run) == [three_]
    for command in ("drop", "replay"):
        refused = run("dlq", command, one, "--yes")
        assert refused.exit_code == 1
        assert f"{one} was dropped at " in refused.stderr
    assert "Nothing that is open matches" in run("dlq", "drop", "--stage", "dedupe", "--yes").stderr
    assert read(settings, "blocks") == []


def test_one_letter_is_shown_whole(run: Cli, settings: Settings) -> None:
    block, bytes_, none = bury(
        settings,
        (record(settings, b"a", b'{"height": 7}', chain=b"BTC-X"), "blocks", ContractError("first\nsecond")),
        (record(settings, b"b", NOT_TEXT), "blocks", ContractError("not JSON")),
        (record(settings, b"c\x1b[31m", None), "blocks", ContractError("tombstone")),
    )
    shown = run("dlq", "show", block).stdout
    for text in ("first\nsecond", '  "height": 7', "chain: BTC-X", f"origin: {settings.topic('blocks')}/1/7"):
        assert text in shown
    assert r"\xff\xfe\x00 neither JSON" in run("dlq", "show", bytes_).stdout
    assert "\x1b" not in run("dlq", "show", none).stdout + run("dlq", "list").stdout
    found: Any = run.json("dlq", "show", block)
    assert (found["value_kind"], found["original_headers"]) == ("json", {"chain": "BTC-X"})
    assert orjson.loads(found["value"]) == {"height": 7}


def test_errors_say_what_to_do(run: Cli, settings: Settings) -> None:
    (one,) = bury(settings, (record(settings, b"one"), "blocks", ContractError("no")))
    for arguments, says in (
        (("show", "zero"), "write PARTITION/OFFSET"),
        (("show", "0/99"), "has no letter 0/99"),
        (("show", "9/0"), "has no letter 9/0"),
        (("replay", "0/99", "--yes"), "has no letter 0/99"),
        (("replay", one), "add --yes"),
        (("drop", one), "add --yes"),
        (("list", "--since", "yesterday"), "--since is 'yesterday', not RFC 3339"),
        (("list", "--until", "2024-01-01T00:00:00"), "--until is '2024-01-01T00:00:00', without a time zone"),
    ):
        result = run("dlq", *arguments)
        assert (result.exit_code, result.stdout) == (1, "")
        assert says in result.stderr
    assert places(run) == [one]


def test_a_terminal_is_asked(run: Cli, settings: Settings) -> None:
    (one,) = bury(settings, (record(settings, b"one"), "blocks", ContractError("no")))
    assert answered(settings, b"n\n", "dlq", "drop", one) == ""
    assert places(run) == [one]
    assert answered(settings, b"y\n", "dlq", "drop", one) == f"{one} dropped\n"
    assert places(run) == []


def answered(settings: Settings, answer: bytes, *arguments: str) -> str:
    """What a command prints that is asked for at a terminal where somebody answers so."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer)
        done = subprocess.run(
            [sys.executable, "-m", "app.main", *arguments],
            stdin=theirs,
            env=environment(settings),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert "drop 1 letters (1 of " in done.stderr
    return done.stdout


def test_a_letter_without_a_way_back_is_refused(run: Cli, settings: Settings) -> None:
    other = Record("another.blocks", 0, 0, 0, b"other", b"{}", {})
    (foreign,) = bury(settings, (other, "blocks", ContractError("no")))
    told = send(settings, "dead-letters", b"{}", b"bare", [("stage", b"somebody")])
    bare = f"{told.partition}/{told.offset}"
    refused = run("dlq", "replay", "--yes")
    assert refused.exit_code == 1
    assert f"{foreign} came from another.blocks/0, which is no partition" in refused.stderr
    assert f"{bare} does not say where it came from" in refused.stderr
    assert set(places(run)) == {foreign, bare}


def test_what_comes_back_each_time_is_not_replayed_for_ever(run: Cli, settings: Settings) -> None:
    send(settings, "signals.raw", NOT_TEXT, b"poison", [("correlation-id", b"me"), ("mine", b"\x00\xff")], 3)
    with worker(settings, "dedupe") as running:
        for count in range(3):
            last = until_there(settings, "dead-letters", count + 1, running)[-1]
            assert last.headers.get("replay-attempts", b"0") == str(count).encode()
            (place,) = places(run)
            result = run("dlq", "replay", "--yes")
            assert result.exit_code == 0, result.stderr
            assert result.stdout.startswith(
                f"{place} replayed to {settings.topic('signals.raw')}/3/{count + 1}"
            )
        until_there(settings, "dead-letters", 4, running)
        (place,) = places(run)
        refused = run("dlq", "replay", "--yes")
        assert refused.exit_code == 1
        assert f"{place} was replayed 3 times and came back" in refused.stderr
        assert run("dlq", "replay", "--max-attempts", "4", "--yes").exit_code == 0
        until_there(settings, "dead-letters", 5, running)
        assert run("dlq", "replay", "--yes").exit_code == 1
        run.environment["SIGSTREAM_DLQ_MAX_ATTEMPTS"] = "5"
        assert run("dlq", "replay", "--yes").exit_code == 0
        until_there(settings, "dead-letters", 6, running)
        assert run("dlq", "replay", "--yes").exit_code == 1
        assert run("dlq", "replay", "--force", "--yes").exit_code == 0
        letters = until_there(settings, "dead-letters", 7, running)
    assert [letter.headers.get("replay-attempts") for letter in letters] == [
        None,
        *(str(count).encode() for count in range(1, 7)),
    ]
    for found in (*read(settings, "signals.raw"), *letters):
        assert (found.value, found.key, found.correlation_id) == (NOT_TEXT, b"poison", "me")
    assert {letter.headers["original-mine"] for letter in letters} == {b"\x00\xff"}


def test_a_replayed_letter_is_not_sent_twice_unless_again(run: Cli, settings: Settings) -> None:
    (one,) = bury(settings, (record(settings, b"one", b"[]"), "blocks", ContractError("no")))
    assert run("dlq", "replay", one, "--yes").exit_code == 0
    assert places(run) == []
    twice = run("dlq", "replay", one, "--yes")
    assert twice.exit_code == 1
    assert f"{one} was replayed at " in twice.stderr
    assert "--again" in twice.stderr
    assert run("dlq", "replay", "--yes").exit_code == 0
    assert len(read(settings, "blocks")) == 1
    assert run("dlq", "replay", one, "--again", "--yes").exit_code == 0
    sent = read(settings, "blocks")
    assert [found.headers["replay-attempts"] for found in sent] == [b"1", b"2"]
    assert {found.partition for found in sent} == {1}


def test_what_was_mended_reaches_signals_and_does_not_undo_what_came_later(
    run: Cli, settings: Settings
) -> None:
    def flat(symbol: str, name: str, value: float) -> bytes:
        return orjson.dumps({"provider": "p", "symbol": symbol, "ts": TS, "name": name, "value": value})

    key = batch_key("p", "SPY", TS)
    home = partition_of(key, settings.signal_partitions)
    elsewhere = (home + 1) % settings.signal_partitions
    with worker(settings, "dedupe") as running:
        first = send(settings, "signals.raw", flat("spy", "late", 1.0), b"any", partition=elsewhere)
        send(settings, "signals.raw", flat("spy", "alone", 5.0), b"any", partition=elsewhere)
        until_there(settings, "dead-letters", 2, running)
        send(settings, "signals.raw", flat("SPY", "late", 2.0), b"any", partition=elsewhere)
        until_there(settings, "signals", 1, running)
        assert running.stop() == 0  # a killed one would have its records read again
    with worker(settings.model_copy(update={"uppercase_symbols": True}), "dedupe", tag="-mended") as running:
        assert run("dlq", "replay", "--reason", "upper case", "--yes").exit_code == 0
        records = until_there(settings, "signals", 2, running)
        answers = until_there(settings, "signals.persisted", 1, running)
    values = [
        (signal.name, signal.value)
        for found in records
        for signal in BATCH_DECODER.decode(found.value or b"").signals
    ]
    assert values == [("late", 2.0), ("alone", 5.0)]
    assert [orjson.loads(answer.value or b"")["outcomes"] for answer in answers] == [{"older": ["late"]}]
    (replayed, *_) = [found for found in read(settings, "signals.raw") if "replay-attempts" in found.headers]
    origin = f"{elsewhere}/{first.offset}/{first.timestamp}".encode()
    assert replayed.headers["replayed-from"] == origin
    alone = BATCH_DECODER.decode(records[1].value or b"").signals[0]
    assert alone.version is not None
    assert alone.version < version_of(records[0].timestamp_ms, 0)
    assert places(run) == []


def test_a_block_keeps_its_headers(run: Cli, settings: Settings) -> None:
    """Without them it would be a block of another chain, and wait for its parents."""
    headers = [
        ("chain", b"BTC-MENDED"),
        ("isolated", b"1"),
        ("correlation-id", b"block"),
        ("height", b"150013"),
    ]
    block: Any = msgspec.json.decode(read_block_file(BLOCK))
    block["tx"][1]["fee"] = -0.0005
    sent = send(settings, "blocks", msgspec.json.encode(block), b"hash", headers)
    with worker(settings, "blocks") as running:
        until_there(settings, "dead-letters", 1, running)
        assert run("dlq", "replay", "--yes").exit_code == 0
        letters = until_there(settings, "dead-letters", 2, running)
    original, replayed = read(settings, "blocks")
    assert replayed.value == original.value
    assert replayed.headers == dict(headers) | {
        "replay-attempts": b"1",
        "replayed-from": f"{sent.partition}/{sent.offset}/{sent.timestamp}".encode(),
    }
    assert letters[1].headers["original-chain"] == b"BTC-MENDED"


def test_a_replayed_record_of_signals_is_no_repeat_to_sinks_and_receipts(
    run: Cli, settings: Settings
) -> None:
    """They drop what has an `origin-offset` that they have seen."""
    settings = settings.model_copy(update={"sinks": ("sqlite",)})
    ((key, value, partition, headers),) = forwarded(1, "sqlite", settings.signal_partitions)
    with worker(settings, "receipts") as receipts, worker(settings, "sink", "sqlite") as sink:
        sent = send(settings, "signals", value, key, headers, partition)
        until_there(settings, "signals.settled", 1, receipts)
        found = Record(sent.topic, sent.partition, sent.offset, sent.timestamp, key, value, dict(headers))
        bury(settings, (found, "sink.sqlite", ContractError("sqlite rejected 1 of its signals")))
        assert run("dlq", "replay", "--stage", "sink.sqlite", "--yes").exit_code == 0
        answers = until_there(settings, "signals.persisted", 2, sink)
        until_there(settings, "signals.settled", 2, receipts)
    outcomes = [orjson.loads(answer.value or b"")["outcomes"] for answer in answers]
    assert outcomes == [{"inserted": ["n0", "n1", "n2"]}, {"unchanged": ["n0", "n1", "n2"]}]
    assert {found.partition for found in read(settings, "signals")} == {partition}


def test_letters_of_a_sink_and_of_an_agent_are_counted(settings: Settings) -> None:
    ports = free_port(), free_port()
    stages = {"dedupe": "signals.raw", "sink.sqlite": "signals"}
    for (stage, topic), port in zip(stages.items(), ports, strict=True):
        send(settings, topic, NOT_TEXT, b"key")
        with worker(settings, *stage.split("."), SIGSTREAM_METRICS_PORT=str(port)) as running:
            until_there(settings, "dead-letters", 1 if stage == "dedupe" else 2, running)
            shown = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        assert f'sigstream_dead_letters_total{{class="ContractError",stage="{stage}"}} 1.0' in shown


def test_what_is_too_large_for_a_letter_is_replayed_from_its_offset(run: Cli, settings: Settings) -> None:
    value = b"[" + b"0," * 17_000_000 + b"0]"
    headers: list[tuple[str, str | bytes | None]] = [("chain", b"BTC-LARGE")]
    producer = Producer(
        {
            "bootstrap.servers": settings.need_kafka(),
            "compression.type": "zstd",
            "message.max.bytes": 100_000_000,
        }
    )
    on_kafka(settings, lambda kafka: kafka.count("blocks"))  # makes the topics
    producer.produce(settings.topic("blocks"), value, key=b"large", headers=headers, partition=2)
    assert producer.flush(30) == 0
    with worker(settings, "blocks") as running:
        (letter,) = until_there(settings, "dead-letters", 1, running)
        assert orjson.loads(letter.value or b"")["sha256"] == sha256(value).hexdigest()
        assert run("dlq", "replay", "--yes").exit_code == 0
        until_there(settings, "dead-letters", 2, running)
    _, replayed = read(settings, "blocks")
    assert replayed.value == value
    assert (replayed.headers["chain"], replayed.headers["replay-attempts"]) == (b"BTC-LARGE", b"1")


def test_headers_that_are_too_large_for_a_letter_are_those_of_the_original(
    run: Cli, settings: Settings
) -> None:
    headers = [("chain", b"BTC-LARGE"), ("large", b"x" * 70_000)]
    sent = send(settings, "blocks", b"{}", b"key", headers)
    found = Record(sent.topic, sent.partition, sent.offset, sent.timestamp, b"key", b"{}", dict(headers))
    (one,) = bury(settings, (found, "blocks", ContractError("no")))
    shown: Any = run.json("dlq", "show", one)
    assert (shown["original_headers"], shown["left_at_origin"]) == ({}, "headers")
    assert run("dlq", "replay", "--yes").exit_code == 0
    _, replayed = read(settings, "blocks")
    assert [replayed.headers[name] for name, _ in headers] == [content for _, content in headers]


def test_what_is_too_large_and_gone_is_named(run: Cli, settings: Settings) -> None:
    large = record(settings, b"large", b" " * 32_000_001)
    (one,) = bury(settings, (large, "blocks", ContractError("no")))
    refused = run("dlq", "replay", "--yes")
    assert refused.exit_code == 1
    origin = f"{settings.topic('blocks')}/1/7"
    assert f"{one} its value was left at {origin}, which Kafka has no more" in refused.stderr
    for number in range(9):
        send(settings, "blocks", b"%d" % number, b"other", partition=1)
    refused = run("dlq", "replay", "--yes")
    assert f"left at {origin}, where another record is now" in refused.stderr
    assert places(run) == [one]


def test_a_record_of_nothing_at_all_does_not_stop_a_worker(run: Cli, settings: Settings) -> None:
    """aiokafka refuses to send what has neither key nor value; other producers don't."""
    on_kafka(settings, lambda kafka: kafka.count("signals.raw"))
    producer = Producer({"bootstrap.servers": settings.need_kafka()})
    headers: list[tuple[str, str | bytes | None]] = [("nothing", None), ("empty", b"")]
    producer.produce(settings.topic("signals.raw"), None, key=None, headers=headers, partition=0)
    assert producer.flush(30) == 0
    with worker(settings, "dedupe") as running:
        (letter,) = until_there(settings, "dead-letters", 1, running)
        assert b"tombstone" in letter.headers["reason"]
        assert run("dlq", "replay", "--yes").exit_code == 0
        until_there(settings, "dead-letters", 2, running)
        assert run("dlq", "show", f"{letter.partition}/{letter.offset}").exit_code == 0
    _, replayed = read(settings, "signals.raw")
    assert (replayed.value, replayed.headers.get("nothing"), replayed.headers["empty"]) == (b"", None, b"")
