"""Labels in CSV: a header with `address` and `entity`, and, if one likes, `type`, `source`, `confidence`."""

import csv
from collections.abc import Iterator, Sequence
from importlib.resources.abc import Traversable
from io import TextIOWrapper
from pathlib import Path

from app.errors import ConfigurationError
from app.labels.owners import UNSTATED, Claim, Kind, Owner, checked_address, checked_owner

COLUMNS = ("address", "entity", "type", "source", "confidence")
NEEDED = COLUMNS[:2]
CONFIDENCE = 0.5
"""Where none is stated."""
DEFAULTS = {"type": Kind.OTHER.value, "source": UNSTATED, "confidence": str(CONFIDENCE)}


def read_csv(path: Path | Traversable) -> Iterator[Claim]:
    """What the file says, row by row; other columns are ignored, lines that begin with `#` are comments.

    Raises ConfigurationError with the line that is wrong.
    """
    try:
        with path.open("rb") as raw, TextIOWrapper(raw, encoding="utf-8-sig", newline="") as file:
            yield from _rows(file, str(path))
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 ({error}): save it as UTF-8") from None


def _rows(file: Iterator[str], path: str) -> Iterator[Claim]:
    rows = csv.reader(file, strict=True)
    owners: dict[tuple[str, ...], Owner] = {}
    try:
        header = next((row for row in rows if not _is_comment(row)), [])
        places = _places(header, f"{path} line {rows.line_num}")
        for row in rows:
            if _is_comment(row):
                continue
            where = f"{path} line {rows.line_num}"
            if len(row) != len(header):
                raise ConfigurationError(
                    f"{where} has {len(row)} fields, the header has {len(header)}: write them all, "
                    'and put a field with a comma in "quotes"'
                )
            stated = tuple([row[place] if place >= 0 else "" for place in places])
            owner = owners.get(stated[1:])
            if owner is None:
                owner = owners[stated[1:]] = _owner(stated, where)
            yield checked_address(stated[0], where), owner
    except csv.Error as error:
        raise ConfigurationError(f"{path} line {rows.line_num} is no CSV: {error}") from None


def _is_comment(row: Sequence[str]) -> bool:
    return not row or row[0].startswith("#")


def _places(header: Sequence[str], where: str) -> list[int]:
    names = [name.strip().lower() for name in header]
    if missing := [name for name in NEEDED if name not in names]:
        raise ConfigurationError(
            f"{where}: the header is {','.join(header)!r} and lacks {' and '.join(missing)}: write "
            f"{','.join(COLUMNS)} (the last three may be left out)"
        )
    return [names.index(name) if name in names else -1 for name in COLUMNS]


def _owner(stated: Sequence[str], where: str) -> Owner:
    values = dict(zip(COLUMNS, stated, strict=True))
    given = {name: values[name].strip() or default for name, default in DEFAULTS.items()}
    return checked_owner(values["entity"], given["type"], given["source"], given["confidence"], where)
