"""Messages that nobody should send, to every topic: each has one fate and a reason that a person
understands, all workers live, and what is right comes through beside them.

500 a topic; `SIGSTREAM_FUZZ_MESSAGES=10000` (`make fuzz`) for more, `SIGSTREAM_FUZZ_SEED` for others.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from app.config import Settings
from app.embedded.postgres import Postgres
from app.errors import ContractError
from app.model.receipt import RECEIPT_DECODER, SETTLED_DECODER
from app.model.signal import BATCH_DECODER, ENCODER
from app.model.wire import decode
from app.streaming.record import CORRELATION_ID, ORIGIN_OFFSET, REKEYED, TICK, Record
from tests.support import fuzz_seeds as seeds
from tests.support.fuzz import Spoiled, spoil
from tests.support.pipeline import Pipeline, running, with_stores
from tests.support.probe import Probe, probe, until
from tests.support.stores import PostgresStore, SqliteStore

MESSAGES = int(os.environ.get("SIGSTREAM_FUZZ_MESSAGES", "500"))
SEED = int(os.environ.get("SIGSTREAM_FUZZ_SEED", "1"))
GOOD = 20
"""Valid records of each topic, sent among the others."""
SECRET = "hunter2-of-the-node"
MOST_RSS_MB = 600
SINKS = ("sqlite", "timescale")
REQUIRED = ",".join(SINKS).encode()
READERS = {
    "blocks": ["blocks"], "block-features": ["blocks"], "mempool": ["blocks"], "signals.raw": ["dedupe"],
    "signals": ["receipts", *(f"sink.{sink}" for sink in SINKS)], "signals.persisted": ["receipts"],
}  # fmt: skip
Place = tuple[str, int, int]
"""Topic (short), partition, offset."""


class Sent:
    """What was sent where, and how it was spoiled."""

    def __init__(self) -> None:
        self.how: dict[Place, str] = {}
        self.by_id: dict[bytes, Place] = {}

    def of(self, topic: str) -> dict[Place, str]:
        return {place: how for place, how in self.how.items() if place[0] == topic}


async def test_every_message_has_one_fate(settings: Settings, postgres: Postgres) -> None:
    config, stores = await with_stores(
        settings.model_copy(update={"sinks": SINKS, "gap_wait_s": 1.0, "core_password": SECRET}),
        (SqliteStore(), PostgresStore(postgres)),
    )
    sent = Sent()
    async with probe(config) as kafka:
        with running(config, stores) as pipeline:
            await until(lambda: all_read(kafka), "workers ready", log=pipeline.log)
            before = memory_mb(pipeline)
            await send_all(kafka, config, sent)
            await good_ones_come_through(kafka, pipeline)
            await until(lambda: all_done(kafka, pipeline), "all read", 60 + MESSAGES / 10, pipeline.log)
            pipeline.check_alive()
            memory = memory_mb(pipeline)
            assert max(memory.values()) < MOST_RSS_MB, f"MB before {before}, now {memory}"
            fates = await fates_of(kafka, sent)
    print(f"MB resident: {before} -> {memory}")
    report(sent, fates)
    check_reasons(fates)
    check_fates(sent, fates)
    check_logs(pipeline, config)


async def send_all(kafka: Probe, config: Settings, sent: Sent) -> None:
    """All topics' messages, the good ones among them."""
    for topic, seed in spoilt_seeds(config).items():
        messages = list(spoil(SEED, MESSAGES, seed))
        good = list(good_ones(topic))
        for number in range(len(good)):
            messages.insert(number * (MESSAGES // GOOD), good[number])
        await send(kafka, topic, messages, sent)


def spoilt_seeds(config: Settings) -> dict[str, seeds.Seed]:
    return {
        "blocks": seeds.blocks,
        "block-features": seeds.features,
        "mempool": seeds.mempool,
        "signals.raw": seeds.signals_raw,
        "signals": seeds.signals(",".join(SINKS)),
        "signals.persisted": seeds.receipts(config, RECEIPTS),
    }


RECEIPTS = 3
"""Partition of the receipts that are sent."""
PARTITIONS = {"block-features": 0, "mempool": 0, "signals.persisted": RECEIPTS}


async def send(kafka: Probe, topic: str, messages: Iterable[Spoiled], sent: Sent) -> None:
    """Each with an id of its own, unless that is what is spoiled."""
    full = kafka.settings.topic(topic)
    waiting = []
    for number, message in enumerate(messages):
        name = f"{topic}-{number}".encode()
        value = b"" if message.value is None and message.key is None else message.value
        headers = [(CORRELATION_ID, name), *message.headers]
        partition = number % 4 if topic == "blocks" else PARTITIONS.get(topic)
        done = await kafka.producer.send(full, value, key=message.key, partition=partition, headers=headers)
        waiting.append((done, name, message.how, CORRELATION_ID in dict(message.headers)))
    for done, name, how, nameless in waiting:
        where = await done
        place = (topic, where.partition, where.offset)
        sent.how[place] = how
        if not nameless:
            sent.by_id[name] = place


def good_ones(topic: str) -> Iterator[Spoiled]:
    """None of receipts: those of the sinks are among the spoiled ones."""
    for number in range(GOOD):
        match topic:
            case "blocks":
                value = msgspec.json.encode(seeds.block("TIDY-B", number))
                yield Spoiled("good", b"b", value, [("chain", b"TIDY-B"), ("isolated", b"1")])
            case "block-features":
                yield Spoiled("good", b"TIDY-F", seeds.features_of("TIDY-F", number), [])
            case "mempool":
                yield Spoiled("good", b"TIDY-M", seeds.snapshot("TIDY-M", number), [])
            case "signals.raw" | "signals":
                provider = f"tidy-{topic}"
                batch = seeds.batch(provider, number, forwarded=topic == "signals")
                key = f"{provider}|{batch.symbol}|{batch.ts}".encode()
                yield Spoiled("good", key, ENCODER.encode(batch), [("required-sinks", REQUIRED)])


async def good_ones_come_through(kafka: Probe, pipeline: Pipeline) -> None:
    """Into every store, and settled."""

    async def stored() -> bool:
        pipeline.check_alive()
        for store in pipeline.stores.values():
            for provider in ("tidy-signals", "tidy-signals.raw"):
                if len(await store.latest(provider)) < 3 * GOOD:
                    return False
            times = defaultdict(set)
            for _, symbol, ts, _ in await store.latest("sigstream"):
                times[symbol].add(ts)
            if any(len(times[symbol]) < GOOD for symbol in ("TIDY-B", "TIDY-F", "TIDY-M")):
                return False
        return True

    await until(stored, "the good ones in all stores", 60 + MESSAGES / 10, pipeline.log)

    async def settled() -> bool:
        found = await kafka.read("signals.settled")
        return (
            sum(SETTLED_DECODER.decode(r.value or b"").provider == "tidy-signals.raw" for r in found) >= GOOD
        )

    await until(settled, "the good ones settled", 60, pipeline.log)


async def all_read(kafka: Probe) -> bool:
    """Whether every group has committed all there is, upstream first; what is forwarded is there by then."""
    for topic, stages in READERS.items():
        for stage in stages:
            if await kafka.lag(stage, topic):
                return False
    return True


async def all_done(kafka: Probe, pipeline: Pipeline) -> bool:
    pipeline.check_alive()
    return await all_read(kafka) and await all_read(kafka)


class Fates:
    """By stage and place, what became of a message."""

    def __init__(self) -> None:
        self.letters: dict[tuple[str, Place], list[dict[str, str]]] = defaultdict(list)
        self.known: dict[tuple[str, Place], set[str]] = defaultdict(set)
        self.nameless: Counter[str] = Counter()
        """Outcomes of messages whose id was spoiled, by topic: only their number tells."""


async def fates_of(kafka: Probe, sent: Sent) -> Fates:
    found = Fates()
    await read_letters(kafka, found)
    await read_block_outcomes(kafka, sent, found)
    await read_signal_outcomes(kafka, found)
    await read_answers(kafka, sent, found)
    return found


def short(kafka: Probe, topic: str) -> str:
    return topic.removeprefix(kafka.settings.topic(""))


async def read_letters(kafka: Probe, found: Fates) -> None:
    for letter in await kafka.read("dead-letters"):
        said = {k: v.decode(errors="replace") for k, v in letter.headers.items() if v is not None}
        topic = short(kafka, said["origin-topic"])
        place = (topic, int(said["origin-partition"]), int(said["origin-offset"]))
        found.letters[said["stage"], place].append(said)


async def read_block_outcomes(kafka: Probe, sent: Sent, found: Fates) -> None:
    """Blocks become features; features and snapshots become batches, or are kept for later ones."""
    for record in await kafka.read("block-features"):
        place = ("block-features", record.partition, record.offset)
        if place not in sent.how and TICK not in record.headers:
            note(found, sent, "blocks", record, "features")
        elif place in sent.how and TICK in record.headers:
            found.known["blocks", place].add("tick")
    for record in await kafka.read("signals.raw"):
        if ("signals.raw", record.partition, record.offset) not in sent.how and REKEYED not in record.headers:
            first = BATCH_DECODER.decode(record.value or b"").signals[0]
            note(
                found, sent, "mempool" if first.block_height is None else "block-features", record, "signals"
            )
    kept = await changelog_keys(kafka, "blocks-chains", 1)
    for record in await kafka.read("block-features"):
        place = ("block-features", record.partition, record.offset)
        hash_ = hash_in(record)
        if place in sent.how and hash_ and any(key.endswith(b"|" + hash_) for key in kept):
            found.known["blocks", place].add("kept")


def hash_in(record: Record) -> bytes | None:
    try:
        found = msgspec.json.decode(record.value or b"")["hash"]
        return found.encode() if isinstance(found, str) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def note(found: Fates, sent: Sent, topic: str, record: Record, what: str) -> None:
    place = sent.by_id.get(record.headers.get(CORRELATION_ID) or b"")
    if place is not None and place[0] == topic:
        found.known["blocks", place].add(what)
    elif place is None:
        found.nameless[topic] += 1


async def read_signal_outcomes(kafka: Probe, found: Fates) -> None:
    """Dedupe forwards, answers, or sends to the right partition."""
    for record in await kafka.read("signals"):
        origin = record.header_int(ORIGIN_OFFSET)
        if origin is not None:
            found.known["dedupe", ("signals.raw", record.partition, origin)].add("forwarded or answered")
    for record in await kafka.read("signals.raw"):
        parts = (record.headers.get(REKEYED) or b"").split(b"/")
        if len(parts) == 3 and all(map(bytes.isdigit, parts)):
            found.known["dedupe", ("signals.raw", int(parts[0]), int(parts[1]))].add("to its partition")


async def read_answers(kafka: Probe, sent: Sent, found: Fates) -> None:
    """Receipts of dedupe and sinks, what is settled, and what the receipts agent still waits for."""
    for record in await kafka.read("signals.persisted"):
        place = ("signals.persisted", record.partition, record.offset)
        try:
            receipt = decode(RECEIPT_DECODER, record.value, "receipt")
        except ContractError:
            continue
        origin = (short(kafka, receipt.origin.topic), receipt.origin.partition, receipt.origin.offset)
        if place not in sent.how:
            stage = "dedupe" if receipt.stage == "dedupe" else f"sink.{receipt.stage}"
            refused = ", some refused" if receipt.reasons and stage != "dedupe" else ""
            what = "forwarded or answered" if stage == "dedupe" else f"receipt{refused}"
            found.known[stage, origin].add(what)
        elif receipt.stage == "dedupe" or origin[:2] == ("signals", record.partition):
            found.known["receipts", place].add("taken")
    for record in await kafka.read("signals.settled"):
        of = SETTLED_DECODER.decode(record.value or b"").origin
        found.known["receipts", ("signals", of.partition, of.offset)].add("known")
    for key in await changelog_keys(kafka, "receipts-outstanding", kafka.settings.signal_partitions):
        partition, _, offset = key.partition(b"/")
        if offset.isdigit():
            found.known["receipts", ("signals", int(partition), int(offset))].add("known")


async def changelog_keys(kafka: Probe, table: str, partitions: int) -> set[bytes]:
    records = await kafka.read_topic(f"{kafka.settings.topic(table)}-changelog", partitions)
    return {record.key or b"" for record in records}


def check_fates(sent: Sent, found: Fates) -> None:
    """Exactly one of each."""
    for topic, stages in READERS.items():
        for stage in stages:
            wrong, nameless = {}, 0
            for place, how in sent.of(topic).items():
                letters, known = (
                    len(found.letters.get((stage, place), ())),
                    found.known.get((stage, place), set()),
                )
                if not letters and not known and place not in sent.by_id.values():
                    nameless += 1
                elif (letters, bool(known)) not in ((1, False), (0, True)) and known != {
                    "receipt, some refused"
                }:
                    wrong[place] = (how, letters, known)
            assert not wrong, f"{stage}: {len(wrong)} without one fate, such as {list(wrong.items())[:5]}"
            if topic in ("blocks", "mempool"):
                assert nameless == found.nameless[topic], f"{stage} {topic}"


def check_reasons(found: Fates) -> None:
    """Each names what is wrong, not where our code stumbled."""
    wrong = {
        (stage, letter["reason"][-300:]): place
        for (stage, place), letters in found.letters.items()
        for letter in letters
        if letter["class"] != "ContractError" or not letter["reason"].strip()
    }
    assert not wrong, "\n".join(f"{place} at {stage}: {end}" for (stage, end), place in wrong.items())


def check_logs(pipeline: Pipeline, config: Settings) -> None:
    """No secret, and no traceback."""
    assert config.timescale_dsn is not None
    password = config.timescale_dsn.partition("//")[2].partition("@")[0].partition(":")[2]
    assert password
    for name, worker in pipeline.workers.items():
        text = worker.whole_log
        assert SECRET not in text, name
        assert password not in text, name
        assert "Traceback" not in text, f"{name}: {text[text.index('Traceback') - 3000 :][:6000]}"


def memory_mb(pipeline: Pipeline) -> dict[str, int]:
    """The most that each worker has had resident."""
    found = {}
    for name, worker in pipeline.workers.items():
        status = Path(f"/proc/{worker.pid}/status").read_text()
        found[name] = int(status.partition("VmHWM:")[2].split()[0]) // 1024
    return found


def report(sent: Sent, found: Fates) -> None:
    """What became of them, by topic and stage."""
    for topic, stages in READERS.items():
        for stage in stages:
            places = sent.of(topic)
            known = Counter("+".join(sorted(found.known.get((stage, place), ()))) for place in places)
            print(f"{topic} at {stage}: {len(places)} sent; {dict(known.most_common())}")
            reasons = [x["reason"] for place in places for x in found.letters.get((stage, place), ())]
            for reason, count in Counter(map(kind_of, reasons)).most_common(25):
                print(f"  {count:6} {reason}")


def kind_of(reason: str) -> str:
    """A reason without what was found."""
    head = reason.partition(", found ")[0].partition("; the value starts")[0].splitlines()[0][:150]
    return re.sub(r"'[^']*'|\d+|\"[^\"]*\"", "_", head)
