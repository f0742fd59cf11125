"""What a replay of `signals` to a store would do; nothing is written, no group is joined."""

from collections.abc import Iterable, Mapping

from app.config import Settings
from app.query.kafka import Reader
from app.replay.asked import Asked
from app.replay.records import Held, read_records
from app.replay.store import spans_of
from app.replay.stored import Held as InStore
from app.replay.stored import Key, stored
from app.replay.tally import Change, Tally
from app.replay.watch import Watch
from app.sinks.base import SinkRecord
from app.sinks.rows import Row, decide, flatten

HISTORIES = ("bigquery",)
"""Sinks whose stores keep versions that are not the latest."""


async def dry_run(settings: Settings, reader: Reader, asked: Asked, sink: str, watch: Watch) -> Tally:
    """Compare the span with the store, batch by batch. Raises SigstreamError."""
    spans = await spans_of(settings, reader, asked, sink)
    watch.begin(f"{sink} (dry run)", sum(span.end - span.first for span in spans))
    tally = Tally(appended=0 if sink in HISTORIES else None)
    for span in spans:
        held = Held(settings)
        async for _, content in read_records(reader, span, asked.heights):
            held.add(content)
            if held.full:
                await _compare(settings, sink, held.take(), tally)
            watch.advance(1)
        await _compare(settings, sink, held.take(), tally)
    return tally


async def _compare(settings: Settings, sink: str, records: list[SinkRecord], tally: Tally) -> None:
    batches = {(r.batch.provider, r.batch.symbol, r.batch.ts): r.batch.ts for r in records}
    known = await stored(settings, sink, batches)
    times = [record.batch.ts for record in records for _ in record.batch.signals]
    rows = list(zip(flatten(records), times, strict=True))
    if tally.appended is not None:
        tally.appended += appended(rows, known)
    for row, ts in rows:
        _judge(row, known.setdefault((row.provider, row.symbol, ts, row.name), InStore()), ts, tally)


def appended(rows: Iterable[tuple[Row, str]], known: Mapping[Key, InStore]) -> int:
    """Rows, each with its `ts`, that a history would get: those that say something that it does not.

    As `History.lacks` of the sink: not the versions that are there, nor an older one with the digest of
    the latest.
    """
    found = set()
    for row, ts in rows:
        key = (row.provider, row.symbol, ts, row.name)
        held, order = known.get(key, InStore()), (row.version, row.digest)
        version, digest = held.latest or (-1, None)
        if order not in held.there and (row.digest != digest or row.version > version):
            found.add((key, order))
    return len(found)


def _judge(row: Row, held: InStore, ts: str, tally: Tally) -> None:
    outcome, latest = decide(row, held.latest)
    new = None if row.retracted_at else row.value
    key: Key = (row.provider, row.symbol, ts, row.name)
    if outcome == "unchanged":
        tally.count(row.name, outcome)
    else:
        tally.show(row.name, Change("|".join(key), str(outcome), held.value, new))
        held.value = new
    held.latest = latest
