"""The comparison: everything read once, then asked."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from app.config import Settings
from app.query.kafka import open_reader
from app.verify.blocks import blocks_of, owed_by
from app.verify.scratch import Scratch, scratch
from app.verify.span import Asked, Span, spans
from app.verify.stores import read_stores, slices
from app.verify.topics import Reading, Step, Topics

EXAMPLES = 10
Progress = Callable[[str, int], Step]
"""Told what begins and how much of it there is."""


@dataclass(frozen=True, slots=True)
class Example:
    """One case."""

    key: str
    """`provider|symbol|ts`; empty where the record has none."""
    name: str
    """Of the signal, or of the processor; empty: all of the record's."""
    at: str
    """Partition and offset on the topic that says so."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A kind of difference, at one place."""

    kind: str
    """missing, extra, different, doubled, unreceipted or outstanding."""
    where: str
    """`signals`, `dedupe`, or a sink."""
    says: str
    count: int
    examples: list[Example]


@dataclass(slots=True)
class Verdict:
    """What came of it."""

    spans: list[Span]
    signals: int = 0
    """That came in."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """All that ever came in was read: only then can be told what is too many, and what of blocks."""
        return bool(self.spans) and all(span.complete for span in self.spans)

    @property
    def holds(self) -> bool:
        """Nothing is wrong; what is on its way is not wrong."""
        return all(finding.kind == "outstanding" for finding in self.findings)

    @property
    def drained(self) -> bool:
        """Nothing is on its way."""
        return not any(finding.kind == "outstanding" for finding in self.findings)


BLOCKS = (
    ("missing", "blocks", "came in, and led to no signal"),
    ("missing", "blocks", "was computed, but not by a processor that has signals of every block"),
    ("outstanding", "blocks", "came in, and is not computed yet, or waits for one below it"),
)
TOPICS = (
    ("unanswered", "missing", "signals", "came in, and was neither forwarded nor answered"),
    ("outdated", "missing", "signals", "is newer than what was forwarded last"),
    ("invented", "extra", "signals", "was forwarded, and never came in"),
    ("altered", "different", "signals", "was forwarded with another content or version"),
    ("forwarded_twice", "doubled", "signals", "was forwarded twice"),
    ("refused_unanswered", "unreceipted", "dedupe", "can't be stored, and nobody was told"),
)
"""Query, kind, where, and what is said of what it finds."""
STORES = (
    ("without_receipt", "unreceipted", "was read, and has no receipt"),
    ("not_stored", "missing", "was forwarded, and is not stored"),
    ("stored_otherwise", "different", "is stored in another version than was forwarded last"),
    ("stored_only", "extra", "is stored, and was never forwarded"),
    ("stored_twice", "doubled", "is stored twice in one version"),
    ("pending", "outstanding", "was forwarded, and is not read yet"),
)


async def verify(settings: Settings, asked: Asked, progress: Progress) -> Verdict:
    """Compare. Raises Transient when a server does not answer, ConfigurationError without `signals.raw`."""
    with scratch() as held:
        async with open_reader(settings) as reader:
            blocks, lag = await blocks_of(settings, reader) if asked.everything else ([], 0)
            found = Verdict(await spans(settings, reader, asked))
            topics = Topics(settings, reader, held)
            readings = [reading for span in found.spans for reading in await topics.of(span)]
            readings += await topics.dead_letters()
            await _collect(topics, [*readings, *(blocks if found.complete else ())], "topics", progress)
            held.add("every_block", owed_by(settings) if found.complete else ())
            held.run("index")
            wanted = slices(held, complete=found.complete)
            step = progress("reading stores", len(wanted) * len(settings.required_sinks))
            await read_stores(settings, held, wanted, step, complete=found.complete)
            since = [await topics.since(span) for span in found.spans]
            await _collect(topics, since, "what came meanwhile", progress)
        held.run("index_stored")
        found.signals = sum(count for (count,) in held.rows("count"))
        found.findings = [finding for finding in _findings(settings, held, found, lag) if finding.count]
    return found


async def _collect(topics: Topics, readings: list[Reading], what: str, progress: Progress) -> None:
    step = progress(f"reading {what}", sum(reading.records for reading in readings))
    for reading in readings:
        await topics.collect(reading, step)


def _findings(settings: Settings, held: Scratch, found: Verdict, lag: int) -> Iterator[Finding]:
    lag += sum(span.waiting for span in found.spans)  # their signals may be among these
    yield _finding(held, "blocks_without_signals", *BLOCKS[0], lag=lag)
    yield _finding(held, "blocks_in_part", *BLOCKS[1], lag=lag)
    yield _finding(held, "blocks_waiting", *BLOCKS[2], lag=lag)
    for query, kind, where, says in TOPICS:
        yield _finding(held, query, kind, where, says, complete=found.complete)
    for sink in settings.required_sinks:
        for query, kind, says in STORES:
            yield _finding(held, query, kind, sink, says, sink=sink, complete=found.complete)
    waiting = [Example("", "", f"{span.partition}/{span.end}") for span in found.spans if span.waiting]
    count = sum(span.waiting for span in found.spans)
    yield Finding("outstanding", "dedupe", "came in, and is not read yet", count, waiting)


def _finding(held: Scratch, query: str, kind: str, where: str, says: str, **arguments: object) -> Finding:
    count = 0
    examples: list[Example] = []
    for row in held.rows(query, **arguments):
        count += 1
        if len(examples) < EXAMPLES:
            examples.append(Example(*row))
    return Finding(kind, where, says, count, examples)
