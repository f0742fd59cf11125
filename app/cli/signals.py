"""`sigstream signals`: the latest signals in a store."""

import asyncio
from datetime import datetime
from typing import Any, Literal

from rich.table import Table

from app.cli.console import err, out, print_json, quiet_logging, spinner
from app.config import Settings
from app.model.keys import write_ts
from app.processors.confidence import bucket
from app.query.signals import COLUMNS, Row, Wanted, canonical
from app.query.stores import open_store

NARROW = ("ts", "symbol", "name", "value")
WIDE = {
    "score": 120,
    "confidence": 120,
    "provider": 160,
    "block_height": 160,
    "version": 160,
    "signal_type": 180,
}
"""Characters a line from which a column is shown beside those of NARROW."""
NUMBERS = ("value", "score", "block_height", "version")


def show_signals(settings: Settings, store: str | None, wanted: Wanted, *, as_json: bool) -> None:
    """Print rows. Raises ConfigurationError without the store, Transient when it does not answer."""
    quiet_logging(settings)
    source = open_store(settings, store)
    with spinner(f"reading {source.name}"):
        rows = asyncio.run(source.latest(canonical(wanted)))
    if as_json:
        print_json([_document(row) for row in rows])
    else:
        console = out()
        console.print(_table(source.name, rows, console.width))
        if not rows:
            err().print(_hint(wanted))


def _hint(wanted: Wanted) -> str:
    given = [name for name in ("symbol", "provider", "name") if getattr(wanted, name) is not None]
    if given:
        options = ", ".join(f"--{name}" for name in given)
        return f"Nothing matches; {options} must be as it is stored, in full."
    return "Nothing is stored yet: `sigstream status` shows where records wait."


def _table(store: str, rows: list[Row], width: int) -> Table:
    table = Table(title=f"{store}: {len(rows)} signals, newest ts first", title_justify="left")
    shown = [*NARROW, *(column for column, least in WIDE.items() if width >= least)]
    if any(row["retracted_at"] for row in rows):
        shown.append("retracted_at")
    for column in shown:
        justify: Literal["left", "right"] = "right" if column in NUMBERS else "left"
        table.add_column(column, justify=justify, no_wrap=column in NARROW)
    for row in rows:
        table.add_row(*(_cell(row, column) for column in shown))
    return table


def _document(row: Row) -> dict[str, Any]:
    return {**{column: _plain(row[column]) for column in COLUMNS}, "bucket": _bucket(row)}


def _bucket(row: Row) -> str | None:
    return None if row["confidence"] is None else bucket(row["confidence"])


def _cell(row: Row, column: str) -> str:
    text = _text(row[column])
    return f"{text} {_bucket(row) or ''}".strip() if column == "confidence" else text


def _plain(value: Any) -> Any:
    """Times as the wire writes them, whichever type the store's driver gives."""
    return write_ts(value) if isinstance(value, datetime) else value


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,.6g}" if isinstance(value, float) else str(_plain(value))
