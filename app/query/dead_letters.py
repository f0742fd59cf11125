"""Dead letters, what is in them and what was done about them, read from the topics."""

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from aiokafka import TopicPartition

from app.config import Settings
from app.dlq.marks import TOPIC as HANDLED
from app.dlq.marks import Mark, Place, State, read_mark
from app.errors import Terminal
from app.model.receipt import Origin
from app.query.kafka import Reader
from app.streaming.dead_letters import LEFT_AT_ORIGIN
from app.streaming.record import REPLAY_ATTEMPTS, Record, number_in

TOPIC = "dead-letters"


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter without its value, which may have 32 MB."""

    place: Place
    at: datetime
    key: bytes | None
    size: int | None
    """Bytes of the value; None: there is none."""
    headers: Mapping[str, bytes]
    mark: Mark | None = None

    def text(self, name: str) -> str:
        """A header of its own; empty when it is missing."""
        return (self.headers.get(name) or b"").decode(errors="replace")

    @property
    def key_text(self) -> str:
        """The key as it is shown and asked for."""
        return (self.key or b"").decode(errors="replace")

    @property
    def origin(self) -> Origin | None:
        """The record it was made of; None when the letter does not say."""
        partition, offset = (number_in(self.headers, f"origin-{name}") for name in ("partition", "offset"))
        if partition is None or offset is None or not self.text("origin-topic"):
            return None
        return Origin(self.text("origin-topic"), partition, offset)

    @property
    def replays(self) -> int:
        """How often its content was replayed, before it was buried here and since."""
        return max(number_in(self.headers, REPLAY_ATTEMPTS) or 0, self.mark.attempts if self.mark else 0)

    @property
    def left_at_origin(self) -> frozenset[str]:
        """`value`, `headers`: what is only at the original's offset."""
        return frozenset(self.text(LEFT_AT_ORIGIN).split(",")) - {""}

    @property
    def state(self) -> State:
        """Open until it is marked."""
        return self.mark.state if self.mark else State.OPEN


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters are asked for; what is None (`places`: empty) does not narrow it."""

    places: tuple[Place, ...] = ()
    stage: str | None = None
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    key: str | None = None
    handled: bool = False
    """Those replayed or dropped, too."""

    def matches(self, letter: Letter) -> bool:
        """By what the letter says; its state is another question."""
        return (
            (not self.places or letter.place in self.places)
            and self.stage in (None, letter.text("stage"))
            and (self.reason or "").casefold() in letter.text("reason").casefold()
            and self.key in (None, letter.key_text)
            and (self.since is None or letter.at >= self.since)
            and (self.until is None or letter.at < self.until)
        )


async def find_letters(settings: Settings, reader: Reader, wanted: Wanted) -> list[Letter]:
    """Letters that match, oldest first. Raises Terminal when a place that is named has none."""
    marks = await _marks(settings, reader)
    found: list[Letter] = []
    for tp, start, end in await _ranges(settings, reader, wanted):
        async for record in reader.read(tp, start, end):
            letter = letter_of(record, marks)
            if wanted.matches(letter):
                found.append(letter)
    _check_found(settings, wanted, found)
    shown = [letter for letter in found if wanted.handled or letter.state is State.OPEN]
    return sorted(shown, key=lambda letter: (letter.at, letter.place))


async def read_letter(settings: Settings, reader: Reader, place: Place) -> tuple[Letter, bytes | None]:
    """One letter and its value. Raises Terminal when it is not there."""
    record = await record_at(reader, Origin(settings.topic(TOPIC), place.partition, place.offset))
    if record is None:
        raise _missing(settings, [place])
    return letter_of(record, await _marks(settings, reader)), record.value


async def record_at(reader: Reader, where: Origin) -> Record | None:
    """The record that is there; None when Kafka does not have it, or not any more."""
    tp = TopicPartition(where.topic, where.partition)
    if tp not in await reader.partitions(where.topic):
        return None
    begin, end = (await reader.bounds([tp]))[tp]
    if not begin <= where.offset < end:
        return None
    found = [record async for record in reader.read(tp, where.offset, where.offset + 1)]
    return found[0] if found else None


async def read_records(
    settings: Settings, reader: Reader, places: Collection[Place]
) -> AsyncIterator[tuple[Place, Record]]:
    """The letters at these places, with their values, in order a partition."""
    for partition in sorted({place.partition for place in places}):
        offsets = {place.offset for place in places if place.partition == partition}
        tp = TopicPartition(settings.topic(TOPIC), partition)
        async for record in reader.read(tp, min(offsets), max(offsets) + 1):
            if record.offset in offsets:
                yield Place(partition, record.offset), record


def letter_of(record: Record, marks: Mapping[Place, Mark]) -> Letter:
    """A record of `dead-letters` as a letter."""
    place = Place(record.partition, record.offset)
    size = None if record.value is None else len(record.value)
    return Letter(place, record.appended_at, record.key, size, record.headers, marks.get(place))


async def _marks(settings: Settings, reader: Reader) -> dict[Place, Mark]:
    """The last mark of each letter."""
    partitions = await reader.partitions(settings.topic(HANDLED))
    found: dict[Place, Mark] = {}
    for tp, (begin, end) in (await reader.bounds(partitions)).items():
        async for record in reader.read(tp, begin, end):
            if read := read_mark(record.key, record.value):
                found[read[0]] = read[1]
    return found


async def _ranges(
    settings: Settings, reader: Reader, wanted: Wanted
) -> list[tuple[TopicPartition, int, int]]:
    """Where to read: no more than times and places ask for."""
    ranges = []
    bounds = await reader.bounds(await reader.partitions(settings.topic(TOPIC)))
    for tp, (begin, end) in bounds.items():
        offsets = [place.offset for place in wanted.places if place.partition == tp.partition]
        if wanted.places and not offsets:
            continue
        begin = max([begin, *([min(offsets)] if offsets else [])])
        end = min([end, *([max(offsets) + 1] if offsets else [])])
        if wanted.since is not None:
            since = await reader.offset_at(tp, int(wanted.since.timestamp() * 1000))
            begin = end if since is None else max(begin, since)
        ranges.append((tp, begin, end))
    return ranges


def _check_found(settings: Settings, wanted: Wanted, found: list[Letter]) -> None:
    missing = set(wanted.places) - {letter.place for letter in found}
    if missing:
        raise _missing(settings, sorted(missing))


def _missing(settings: Settings, places: list[Place]) -> Terminal:
    listed = ", ".join(map(str, places[:5])) + (" ..." if len(places) > 5 else "")
    return Terminal(
        f"{settings.topic(TOPIC)} has no letter {listed} that matches: see `sigstream dlq list --all`; "
        "letters are kept for 30 days"
    )
