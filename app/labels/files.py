"""Files of labels: which format one is, and all of them together with what is built in."""

from collections import Counter
from collections.abc import Iterator, Sequence
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


def label_file(path: Path) -> LabelFile:
    """The file, unread; the ending says its format. Raises ConfigurationError for another one."""
    name = FORMATS.get(path.suffix.lower())
    if name is None:
        raise ConfigurationError(
            f"{path} ends in {path.suffix!r}, which is no format of labels: name it .csv "
            "(address,entity,...), .json (mempool.space's pools-v2.json) or .yaml (a GraphSense TagPack)"
        )
    return LabelFile(path, name)
