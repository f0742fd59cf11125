"""`sigstream signals`: the latest signals in a store."""

import asyncio
from datetime import datetime
from typing import Any

from rich.table import Table

from app.cli.console import out, print_json, quiet_logging, spinner
from app.config import Settings
from app.model.keys import write_ts
from app.query.signals import COLUMNS, Row, Wanted, canonical
from app.query.stores import open_store

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
        out().print(_table(source.name, rows))


def _table(store: str, rows: list[Row]) -> Table:
    shown = [column for column in COLUMNS if column != "retracted_at" or any(row[column] for row in rows)]
    table = Table(title=f"{store}: {len(rows)} signals, newest ts first", title_justify="left")
    for column in shown:
        table.add_column(column, justify="right" if column in NUMBERS else "left", overflow="fold")
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
