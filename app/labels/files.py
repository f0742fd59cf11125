"""Files of labels: which format one is, and all of them together with what is built in."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from app.errors import ConfigurationError
from app.labels.builtin import builtin_claims
from app.labels.csv_file import read_csv
from app.labels.owners import Claim
from app.labels.pools_file import read_pools
from app.labels.registry import Conflict, Labels, merge
from app.labels.tagpack_file import read_tagpack

FORMATS = {".csv": "csv", ".json": "pools", ".yaml": "tagpack", ".yml": "tagpack"}
"""Ending -> format."""

MAX_BYTES = 512_000_000
"""Some five million rows of CSV; they are all held in memory."""
MAX_YAML_BYTES = 64_000_000
"""YAML takes twenty times its size while it is read."""


@dataclass(slots=True)
class LabelFile:
    """A file of labels; the counts are those of the last reading."""

    path: Path
    format: str
    claims: int = 0
    """Labels in it, before any is dropped for another's."""
    skipped: Counter[str] = field(default_factory=Counter)
    """What was left out on purpose, by why: `currency ETH`."""

    def read(self) -> Iterator[Claim]:
        """What it says. Raises ConfigurationError with the line or entry that is wrong."""
        self.claims = 0
        self.skipped.clear()
        _check_size(self.path, MAX_YAML_BYTES if self.format == "tagpack" else MAX_BYTES)
        for claim in self._claims():
            self.claims += 1
            yield claim

    def _claims(self) -> Iterator[Claim]:
        if self.format == "csv":
            return read_csv(self.path)
        if self.format == "pools":
            return read_pools(self.path)
        return read_tagpack(self.path, self.skipped)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What all files and the built-in facts say."""

    labels: Labels
    conflicts: tuple[Conflict, ...]
    files: tuple[LabelFile, ...]


def load_labels(paths: Sequence[Path]) -> Loaded:
    """The labels of `paths` merged with the built-in ones. Raises ConfigurationError."""
    found = tuple(label_file(path) for path in paths)
    merged = merge(builtin_claims(), *(file.read() for file in found))
    return Loaded(merged.labels, merged.conflicts, found)


def _check_size(path: Path, most: int) -> None:
    """Before anything of it is read; a file that is not there is its reader's to report."""
    with suppress(OSError):
        if (size := path.stat().st_size) > most:
            raise ConfigurationError(f"{path} has {size:,} bytes, more than {most:,}: divide it into several")


def label_file(path: Path) -> LabelFile:
    """The file, unread; the ending says its format. Raises ConfigurationError for another one."""
    name = FORMATS.get(path.suffix.lower())
    if name is None:
        raise ConfigurationError(
            f"{path} ends in {path.suffix!r}, which is no format of labels: name it .csv "
            "(address,entity,...), .json (mempool.space's pools-v2.json) or .yaml (a GraphSense TagPack)"
        )
    return LabelFile(path, name)
