"""What became of messages: read from what every stage has left in Kafka."""

import re
from collections import Counter, defaultdict

from app.errors import ContractError
from app.model.features import FEATURES_DECODER
from app.model.receipt import RECEIPT_DECODER, SETTLED_DECODER
from app.model.signal import BATCH_DECODER
from app.model.wire import decode
from app.streaming.record import CORRELATION_ID, ORIGIN_OFFSET, REKEYED, TICK, Record
from tests.support.probe import Probe

READERS = {
    "blocks": ["blocks"], "block-features": ["blocks"], "mempool": ["blocks"], "signals.raw": ["dedupe"],
    "signals": ["receipts", "sink.bigquery", "sink.sqlite", "sink.timescale"],
    "signals.persisted": ["receipts"],
}  # fmt: skip
LETTER = "dead letter"
Place = tuple[str, int, int]
"""Topic (short), partition, offset."""


class Sent:
    """What was sent where, and how it was spoiled."""

    def __init__(self) -> None:
        self.how: dict[Place, str] = {}
        self.by_id: dict[bytes, Place] = {}

    def of(self, topic: str) -> dict[Place, str]:
        return {place: how for place, how in self.how.items() if place[0] == topic}


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
    kept = {key.rpartition(b"|")[2] for key in await changelog_keys(kafka, "blocks-chains", 1)}
    for record in await kafka.read("block-features"):
        place = ("block-features", record.partition, record.offset)
        hash_ = hash_in(record)
        if place in sent.how and hash_ in kept:
            found.known["blocks", place].add("kept")


def hash_in(record: Record) -> bytes | None:
    """As the worker reads it, which does not look at fields that it does not know."""
    try:
        return FEATURES_DECODER.decode(record.value or b"").hash.encode()
    except (ValueError, RecursionError):
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


def report(sent: Sent, found: Fates) -> None:
    """What became of them, by topic and stage."""
    for topic, stages in READERS.items():
        for stage in stages:
            places = sent.of(topic)
            known = Counter("+".join(sorted(found.known.get((stage, place), {LETTER}))) for place in places)
            print(f"{topic} at {stage}: {len(places)} sent; {dict(known.most_common())}")
            reasons = [x["reason"] for place in places for x in found.letters.get((stage, place), ())]
            for reason, count in Counter(map(kind_of, reasons)).most_common(25):
                print(f"  {count:6} {reason}")


def kind_of(reason: str) -> str:
    """A reason without what was found."""
    head = reason.partition(", found ")[0].partition("; the value starts")[0].splitlines()[0][:150]
    return re.sub(r"'[^']*'|\d+|\"[^\"]*\"", "_", head)
