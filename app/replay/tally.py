"""What a replay did, or would do: counted by signal name, with examples of what changes."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

EXAMPLES = 3
"""Of each name and outcome."""


class Change(NamedTuple):
    """One signal, before and after; None where it is not there, or was taken back."""

    key: str
    """`provider|symbol|ts|name`."""
    outcome: str
    old: float | None
    new: float | None


@dataclass(slots=True)
class Tally:
    """Signals by name and outcome."""

    counts: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    changes: defaultdict[tuple[str, str], list[Change]] = field(default_factory=lambda: defaultdict(list))
    appended: int | None = None
    """Rows that a store which keeps a history would get, unchanged signals' too: of a dry run to one."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Why a signal of this name was rejected, the first time."""

    def count(self, name: str, outcome: str) -> None:
        """One more."""
        self.counts[name][str(outcome)] += 1

    def show(self, name: str, change: Change) -> None:
        """One more, with an example."""
        self.count(name, change.outcome)
        held = self.changes[name, change.outcome]
        if len(held) < EXAMPLES:
            held.append(change)

    def total(self) -> Counter[str]:
        """Over all names."""
        return sum(self.counts.values(), Counter())

    def by_name(self) -> Mapping[str, Counter[str]]:
        """Names in order."""
        return dict(sorted(self.counts.items()))

    def examples(self) -> list[Change]:
        """By name and outcome."""
        return [change for _, held in sorted(self.changes.items()) for change in held]
