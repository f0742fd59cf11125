"""What a store has of the signals that were read, in slices of its keys."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from app.config import Settings
from app.model.keys import read_ts, write_ts
from app.query.signals import Row, ts_of
from app.query.stores import open_store
from app.verify.scratch import Scratch
from app.verify.topics import Step

KEYS = 500
"""Keys a slice."""
BEGIN, END = "0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"


class Slice(NamedTuple):
    """Keys of one series from `first` up to, and without, `end`."""

    provider: str
    symbol: str
    first: str
    end: str


def slices(scratch: Scratch, *, complete: bool) -> list[Slice]:
    """All series of what was read: each from its first key to its last, or `complete`, from the beginning
    of time to its end."""
    starts: dict[str, list[str]] = {}
    ends: dict[str, str] = {}
    for series, ts, last in scratch.rows("slices", keys=KEYS):
        starts.setdefault(series, []).append(ts)
        ends[series] = last
    return [slice_ for series in starts for slice_ in _slices(series, starts[series], ends[series], complete)]


def _slices(series: str, starts: list[str], last: str, complete: bool) -> list[Slice]:
    provider, _, symbol = series.partition("|")
    begins = [BEGIN, *starts[1:]] if complete else starts
    behind = END if complete else write_ts(read_ts(last) + timedelta(microseconds=1))
    ends = [*starts[1:], behind]
    return [Slice(provider, symbol, *pair) for pair in zip(begins, ends, strict=True)]


async def read_stores(
    settings: Settings, scratch: Scratch, wanted: Sequence[Slice], step: Step, *, complete: bool
) -> None:
    """What every required sink's store has in these slices: of the keys that were read, or all, `complete`.

    Raises Transient, or ConfigurationError where one is not there.
    """
    for name in settings.required_sinks if wanted else ():
        store = open_store(settings, name)
        for slice_ in wanted:
            times = () if complete else _times(scratch, slice_)
            async for rows in store.versions(*slice_, times):
                scratch.add("stored", (_stored(name, row) for row in rows))
            step(1)


def _times(scratch: Scratch, slice_: Slice) -> list[str]:
    series = f"{slice_.provider}|{slice_.symbol}|"
    return [ts for (ts,) in scratch.rows("times", first=series + slice_.first, end=series + slice_.end)]


def _stored(name: str, row: Row) -> tuple[object, ...]:
    key = f"{row['provider']}|{row['symbol']}|{ts_of(row)}"
    return name, key, row["name"], row["version"], row["digest"], row["copies"]
