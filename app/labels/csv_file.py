"""Labels in CSV: a header with `address` and `entity`, and, if one likes, `type`, `source`, `confidence`."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from app.errors import ConfigurationError
from app.labels.owners import UNSTATED, Claim, Kind, Owner, checked_address, checked_owner

COLUMNS = ("address", "entity", "type", "source", "confidence")
NEEDED = COLUMNS[:2]
CONFIDENCE = 0.5
"""Where none is stated."""
MOST_OWNERS = 50_000
"""Kept to be found again by their text; where there are more of them, it is rarely worth its memory."""


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


@dataclass(slots=True)
class _Line:
    """Where the reader is; text only once somebody asks, which a million good rows don't."""

    path: str
    rows: Any

    def __str__(self) -> str:
        return f"{self.path} line {self.rows.line_num}"


def _rows(file: Iterable[str], path: str) -> Iterator[Claim]:
    rows = csv.reader(file, strict=True)
    where = _Line(path, rows)
    owners: dict[tuple[str, ...], Owner] = {}
    try:
        header = next((row for row in rows if not _is_comment(row)), [])
        places = _places(header, where)
        for row in rows:
            if _is_comment(row):
                continue
            if len(row) != len(header):
                raise _wrong_length(row, header, where)
            stated = tuple([row[place] if place >= 0 else "" for place in places])
            owner = owners.get(stated[1:])
            if owner is None:
                if len(owners) >= MOST_OWNERS:
                    owners.clear()
                owner = owners[stated[1:]] = _owner(stated, where)
            yield checked_address(stated[0], where), owner
    except csv.Error as error:
        raise ConfigurationError(f"{where} is no CSV: {error}") from None


def _is_comment(row: Sequence[str]) -> bool:
    return not row or row[0].startswith("#")


def _wrong_length(row: Sequence[str], header: Sequence[str], where: _Line) -> ConfigurationError:
    return ConfigurationError(
        f"{where} has {len(row)} fields, the header has {len(header)}: write them all, "
        'and put a field with a comma in "quotes"'
    )


def _places(header: Sequence[str], where: _Line) -> list[int]:
    names = [name.strip().lower() for name in header]
    if missing := [name for name in NEEDED if name not in names]:
        raise ConfigurationError(
            f"{where}: the header is {','.join(header)!r} and lacks {' and '.join(missing)}: write "
            f"{','.join(COLUMNS)} (the last three may be left out)"
        )
    return [names.index(name) if name in names else -1 for name in COLUMNS]


def _owner(stated: Sequence[str], where: _Line) -> Owner:
    _, entity, kind, source, confidence = stated
    return checked_owner(
        entity,
        kind.strip() or Kind.OTHER,
        source.strip() or UNSTATED,
        confidence.strip() or CONFIDENCE,
        where,
    )
