"""What a store has of the signals that were read, in slices of its keys."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from app.config import Settings
from app.model.keys import write_ts
from app.query.stores import open_store
from app.verify.scratch import Scratch
from app.verify.topics import Step

KEYS = 500
"""Keys a query: of 100 signals each, 50,000 rows."""
BEGIN, END = "0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"


class Slice(NamedTuple):
    """Keys of one series from `first` up to, and without, `end`."""

    provider: str
    symbol: str
    first: str
    end: str


def slices(scratch: Scratch) -> list[Slice]:
    """All series of what was read, each from the beginning of time to its end."""
    starts = list(scratch.rows("slices", keys=KEYS))
    found = []
    for series in dict.fromkeys(series for series, _ in starts):
        provider, _, symbol = series.partition("|")
        inner = [ts for other, ts in starts if other == series][1:]
        found += [Slice(provider, symbol, *ends) for ends in pairwise([BEGIN, *inner, END])]
    return found


async def read_stores(settings: Settings, scratch: Scratch, wanted: Sequence[Slice], step: Step) -> None:
    """These slices of every required sink's store.

    Raises Transient, or ConfigurationError where one is not there.
    """
    for name in settings.required_sinks if wanted else ():
        store = open_store(settings, name)
        for slice_ in wanted:
            rows = await store.versions(*slice_)
            scratch.add("stored", (_stored(name, row) for row in rows))
            step(1)


def _stored(name: str, row: dict[str, object]) -> tuple[object, ...]:
    ts = row["ts"]
    key = f"{row['provider']}|{row['symbol']}|{write_ts(ts) if isinstance(ts, datetime) else ts}"
    return name, key, row["name"], row["version"], row["digest"], row["copies"]
