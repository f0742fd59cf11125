"""What a store holds of some signals, read without writing; a store that is not there holds nothing."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.config import Settings
from app.errors import SigstreamError
from app.model.keys import write_ts
from app.query.signals import Row, Store
from app.query.stores import open_store
from app.sinks.rows import Known

Key = tuple[str, str, str, str]
"""provider, symbol, ts, name; canonical."""
Batch = tuple[str, str, str]
"""The same without the name."""
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
    if sink == "sqlite" and not settings.sqlite_file.exists():
        return {}
    store = open_store(settings, sink)
    found: defaultdict[Key, Held] = defaultdict(Held)
    for (provider, symbol), wanted in times.items():
        ordered = sorted(wanted)
        for start in range(0, len(ordered), TIMES):
            for row in await _rows(store, provider, symbol, ordered[start : start + TIMES]):
                value = None if row["retracted_at"] else row["value"]
                found[_key(row)].add((row["version"], row["digest"]), value)
    return dict(found)


def _key(row: Row) -> Key:
    ts: Any = row["ts"]
    return row["provider"], row["symbol"], write_ts(ts) if isinstance(ts, datetime) else ts, row["name"]


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
