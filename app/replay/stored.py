"""What a store holds of some signals, read without writing; a store that is not there holds nothing."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import orjson

from app.config import Settings
from app.errors import SigstreamError
from app.model.signal import Signal
from app.query.signals import Row, Store, ts_of
from app.query.stores import open_store
from app.sinks.rows import Known

Key = tuple[str, str, str, str]
"""provider, symbol, ts, name; canonical."""
Batch = tuple[str, str, str]
"""The same without the name."""
AS_THEY_ARE = (
    *("name", "version", "digest", "value", "score", "confidence"),
    *("signal_type", "block_height", "block_hash"),
)
TIMES = 500
"""Asked for at once."""


@dataclass(slots=True)
class Held:
    """One signal's versions in a store."""

    latest: Known | None = None
    value: float | None = None
    """None where the latest was taken back."""
    there: set[Known] = field(default_factory=set)

    def add(self, known: Known, value: float | None) -> None:
        """One more version."""
        self.there.add(known)
        if self.latest is None or known >= self.latest:
            self.latest, self.value = known, value


async def stored(settings: Settings, sink: str, batches: Iterable[Batch]) -> dict[Key, Held]:
    """What the sink's store has of the batches' signals. Raises Transient, ConfigurationError."""
    times: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for provider, symbol, ts in batches:
        times[provider, symbol].add(ts)
    found: defaultdict[Key, Held] = defaultdict(Held)
    for (provider, symbol), wanted in times.items():
        async for row in rows_of(settings, sink, provider, symbol, wanted):
            value = None if row["retracted_at"] else row["value"]
            found[_key(row)].add((row["version"], row["digest"]), value)
    return dict(found)


def can_be_asked(settings: Settings, sink: str) -> bool:
    """Whether the sink's store is there, as far as the settings say."""
    needed = {
        "sqlite": settings.sqlite_file.exists(),
        "timescale": settings.timescale_dsn,
        "bigquery": settings.bigquery_project,
    }
    return bool(needed.get(sink))


async def rows_of(
    settings: Settings, sink: str, provider: str, symbol: str, times: Collection[str]
) -> AsyncIterator[Row]:
    """All versions of one series at these times. Raises Transient, ConfigurationError."""
    if sink == "sqlite" and not settings.sqlite_file.exists():
        return
    store = open_store(settings, sink)
    ordered = sorted(times)
    for start in range(0, len(ordered), TIMES):
        for row in await _rows(store, provider, symbol, ordered[start : start + TIMES]):
            yield row


def signal_of(row: Row) -> Signal:
    """A row as the signal that it was stored from, without times."""
    metadata = row["metadata"]
    text = metadata if isinstance(metadata, str | None) else orjson.dumps(metadata).decode()
    return Signal(
        metadata=msgspec.UNSET if text is None else msgspec.Raw(text.encode()),
        block_time=_time(row["block_time"]),
        retracted_at=_time(row["retracted_at"]),
        **{name: row[name] for name in AS_THEY_ARE},
    )


def _time(value: Any) -> datetime | None:
    """SQLite has texts."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _key(row: Row) -> Key:
    return row["provider"], row["symbol"], ts_of(row), row["name"]


async def _rows(store: Store, provider: str, symbol: str, times: list[str]) -> list[Row]:
    try:
        return await store.held(provider, symbol, times)
    except SigstreamError as error:
        if _is_absent(error.__cause__):
            return []
        raise


def _is_absent(cause: BaseException | None) -> bool:
    """Whether there is no table yet; by class, or by SQLite's words, which has one code for all mistakes."""
    names = {kind.__name__ for kind in type(cause).__mro__}
    return bool(names & {"UndefinedTableError", "NotFound"}) or str(cause).startswith("no such table")
