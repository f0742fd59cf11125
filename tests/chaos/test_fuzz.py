"""Messages that nobody should send, to every topic: each has one fate and a reason that a person
understands, all workers live, and what is right comes through beside them.

300 a topic; `SIGSTREAM_FUZZ_MESSAGES=10000` (`make fuzz`) for more, `SIGSTREAM_FUZZ_SEED` for others.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from app.config import Settings, plain
from app.embedded.bigquery import BigQuery
from app.embedded.postgres import Postgres
from app.model.receipt import SETTLED_DECODER
from app.model.signal import ENCODER
from app.streaming.record import CORRELATION_ID
from tests.support import fuzz_seeds as seeds
from tests.support.fuzz import Spoiled, spoil
from tests.support.fuzz_fates import READERS, Fates, Sent, fates_of, report
from tests.support.pipeline import Pipeline, running, with_stores
from tests.support.probe import Probe, probe, until
from tests.support.stores import BigQueryStore, PostgresStore, SqliteStore

MESSAGES = int(os.environ.get("SIGSTREAM_FUZZ_MESSAGES", "300"))
SEED = int(os.environ.get("SIGSTREAM_FUZZ_SEED", "1"))
GOOD = 20
"""Valid records of each topic, sent among the others."""
SECRET = "hunter2-of-the-node"
MOST_RSS_MB = 600
SINKS = ("bigquery", "sqlite", "timescale")
REQUIRED = ",".join(SINKS).encode()


async def test_every_message_has_one_fate(settings: Settings, postgres: Postgres, bigquery: BigQuery) -> None:
    config, stores = await with_stores(
        settings.model_copy(update={"sinks": SINKS, "gap_wait_s": 1.0, "core_password": SECRET}),
        (SqliteStore(), PostgresStore(postgres), BigQueryStore(bigquery)),
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
                if stage == "receipts" and letters:
                    known = set()  # inferred: of a readable receipt, or an entry by one that names this place
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
    """No secret. A processor that failed on odd features is told of with its traceback."""
    password = plain(config.timescale_dsn).partition("//")[2].partition("@")[0].partition(":")[2]
    assert password
    for name, worker in pipeline.workers.items():
        text = worker.whole_log
        assert SECRET not in text, name
        assert password not in text, name


def memory_mb(pipeline: Pipeline) -> dict[str, int]:
    """The most that each worker has had resident."""
    found = {}
    for name, worker in pipeline.workers.items():
        status = Path(f"/proc/{worker.pid}/status").read_text()
        found[name] = int(status.partition("VmHWM:")[2].split()[0]) // 1024
    return found
