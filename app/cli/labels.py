"""`sigstream labels`: what is known of addresses, what is wrong with a file, who owns one address."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from app.cli.console import err, out, print_json, quiet_logging
from app.config import Settings
from app.errors import SigstreamError
from app.labels.files import Loaded, label_file, load_labels
from app.labels.owners import checked_address
from app.labels.registry import Conflict, Owner, merge
from app.labels.summary import conflict_document, owner_document, summary

MOST_ROWS = 20
"""Of sources and of conflicts in tables; JSON has all."""


def show_labels(settings: Settings, *, as_json: bool) -> None:
    """Print what the built-in facts and SIGSTREAM_LABELS say. Raises ConfigurationError for a bad file."""
    quiet_logging(settings)
    _print(load_labels(settings.labels), as_json=as_json)


def check_labels(settings: Settings, paths: Sequence[Path], *, as_json: bool) -> bool:
    """Print what is wrong with each file, and what the good ones say with the built-in facts; whether all
    are good."""
    quiet_logging(settings)
    errors = {path: message for path in paths if (message := _wrong(path))}
    loaded = load_labels([path for path in paths if path not in errors])
    if as_json:
        print_json({**summary(loaded), "errors": list(errors.values())})
        return not errors
    _print(loaded, as_json=False)
    for message in errors.values():
        err().print(f"Error: {message}", markup=False, highlight=False, soft_wrap=True)
    return not errors


def find_label(settings: Settings, address: str, *, as_json: bool) -> bool:
    """Print who owns `address`, and who else is said to; whether anybody is known. Raises
    ConfigurationError for what is no address."""
    quiet_logging(settings)
    wanted = checked_address(address, "ADDRESS")
    loaded = load_labels(settings.labels)
    owner = loaded.labels.find(wanted)
    others = [conflict for conflict in loaded.conflicts if conflict.address == wanted]
    if as_json:
        print_json(_found(wanted, owner, others, loaded.labels.version))
    elif owner is None:
        out().print(f"{wanted}: nobody known (labels {loaded.labels.version})", highlight=False)
    else:
        rows = [("kept", owner), *(("dropped", conflict.dropped) for conflict in others)]
        out().print(_owners(f"{wanted} (labels {loaded.labels.version})", rows))
    return owner is not None


def _wrong(path: Path) -> str | None:
    try:
        merge(label_file(path).read())
    except SigstreamError as error:
        return str(error)
    return None


def _found(address: str, owner: Owner | None, others: Sequence[Conflict], version: str) -> dict[str, Any]:
    return {
        "address": address,
        "owner": owner and owner_document(owner),
        "conflicts": [conflict_document(conflict) for conflict in others],
        "version": version,
    }


def _print(loaded: Loaded, *, as_json: bool) -> None:
    found = summary(loaded)
    if as_json:
        print_json(found)
        return
    parts = [_figures(found), _counts("source", found["sources"]), _files(found["files"])]
    if loaded.conflicts:
        parts.append(_conflicts(loaded.conflicts))
    out().print(Group(*parts))


def _figures(found: Mapping[str, Any]) -> Table:
    table = Table("figure", title=f"Labels, version {found['version']}", title_justify="left")
    table.add_column("value", justify="right")
    for kind, count in found["types"].items():
        table.add_row(f"addresses: {kind}", f"{count:,}")
    for name in ("addresses", "coinbase_tags", "entities"):
        table.add_row(name.replace("_", " "), f"{found[name]:,}")
    table.add_row("conflicts", f"{len(found['conflicts']):,}")
    return table


def _counts(what: str, counts: Mapping[str, int]) -> Table:
    table = Table(what, title=f"Addresses by {what}", title_justify="left")
    table.add_column("addresses", justify="right")
    for name, count in list(counts.items())[:MOST_ROWS]:
        table.add_row(escape(name), f"{count:,}")
    _say_rest(table, len(counts))
    return table


def _files(files: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("file", "format", title="Files, beside the built-in facts", title_justify="left")
    table.add_column("labels", justify="right")
    table.add_column("left out")
    for file in files:
        left_out = ", ".join(f"{count:,} ({why})" for why, count in sorted(file["skipped"].items()))
        table.add_row(escape(file["path"]), file["format"], f"{file['labels']:,}", escape(left_out))
    if not files:
        table.add_row("none", "", "0", "")
    return table


def _conflicts(conflicts: Sequence[Conflict]) -> Table:
    table = Table("address", "kept", "dropped", title="Conflicts", title_justify="left")
    for conflict in conflicts[:MOST_ROWS]:
        table.add_row(escape(conflict.address), _short(conflict.kept), _short(conflict.dropped))
    _say_rest(table, len(conflicts))
    return table


def _owners(title: str, rows: Sequence[tuple[str, Owner]]) -> Table:
    table = Table("", "entity", "type", "source", "confidence", title=title, title_justify="left")
    for what, owner in rows:
        table.add_row(what, escape(owner.entity), owner.kind, escape(owner.source), f"{owner.confidence:g}")
    return table


def _short(owner: Owner) -> str:
    return escape(f"{owner.entity} ({owner.kind}, {owner.confidence:g}, {owner.source})")


def _say_rest(table: Table, count: int) -> None:
    if count > MOST_ROWS:
        table.add_row(f"... and {count - MOST_ROWS:,} more (--json has all)")
