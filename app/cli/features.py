"""`sigstream features`: what the product computes from one block file, without any server."""

from pathlib import Path
from typing import Any

import orjson
from rich.console import Group
from rich.table import Table

from app.cli.console import out, print_json, quiet_logging
from app.config import Settings
from app.errors import ContractError
from app.features_report import report


def show_features(settings: Settings, path: Path, *, as_json: bool) -> None:
    """Print a block's figures and signals. Raises ConfigurationError or ContractError for a bad file."""
    quiet_logging(settings)
    found = _report(settings, path)
    if as_json:
        print_json(found)
        return
    out().print(Group(_figures(path, found), _signals(found["signals"])))


def _report(settings: Settings, path: Path) -> Any:
    try:
        return report(settings, path)
    except ContractError as error:
        if str(path) in str(error):
            raise
        raise ContractError(f"{path}: {error}") from error


def _figures(path: Path, found: dict[str, Any]) -> Table:
    table = Table("figure", "value", title=path.name, title_justify="left")
    for name, value in found.items():
        if name != "signals":
            table.add_row(name, _text(value))
    return table


def _signals(signals: list[dict[str, Any]]) -> Table:
    table = Table(title="Signals of the block alone, without history", title_justify="left")
    table.add_column("signal", no_wrap=True)
    for column in ("value", "score", "confidence"):
        table.add_column(column, justify="right")
    table.add_column("metadata", overflow="fold")
    for signal in signals:
        numbers = (_text(signal[name]) for name in ("value", "score", "confidence"))
        table.add_row(signal["name"], *numbers, orjson.dumps(signal["metadata"]).decode())
    return table


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(_text(part) for part in value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
