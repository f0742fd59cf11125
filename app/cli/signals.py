"""`sigstream signals`: the latest signals in a store."""

import asyncio
from datetime import datetime
from typing import Any, Literal

from rich.table import Table

from app.cli.console import out, print_json, quiet_logging, spinner
from app.config import Settings
from app.model.keys import write_ts
from app.query.signals import COLUMNS, Row, Wanted, canonical
from app.query.stores import open_store

NARROW = ("ts", "symbol", "name", "value")
SHOWN = (*NARROW, "score", "provider", "signal_type", "block_height", "version")
WIDE = 120
"""Characters a line from which all of SHOWN fit."""
NUMBERS = ("value", "score", "block_height", "version")


def show_signals(settings: Settings, store: str | None, wanted: Wanted, *, as_json: bool) -> None:
    """Print rows. Raises ConfigurationError without the store, Transient when it does not answer."""
    quiet_logging(settings)
    source = open_store(settings, store)
    with spinner(f"reading {source.name}"):
        rows = asyncio.run(source.latest(canonical(wanted)))
    if as_json:
        print_json([{column: _plain(row[column]) for column in COLUMNS} for row in rows])
    else:
        console = out()
        console.print(_table(source.name, rows, console.width))


def _table(store: str, rows: list[Row], width: int) -> Table:
    table = Table(title=f"{store}: {len(rows)} signals, newest ts first", title_justify="left")
    shown = [column for column in SHOWN if width >= WIDE or column in NARROW]
    if any(row["retracted_at"] for row in rows):
        shown.append("retracted_at")
    for column in shown:
        justify: Literal["left", "right"] = "right" if column in NUMBERS else "left"
        table.add_column(column, justify=justify, no_wrap=column in NARROW)
    for row in rows:
        table.add_row(*(_text(row[column]) for column in shown))
    return table


def _plain(value: Any) -> Any:
    """Times as the wire writes them, whichever type the store's driver gives."""
    return write_ts(value) if isinstance(value, datetime) else value


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,.6g}" if isinstance(value, float) else str(_plain(value))
