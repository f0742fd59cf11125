"""What the table holds of some signals, and what that makes of a row; pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from app.model.receipt import Outcome
from app.sinks.base import Written
from app.sinks.bigquery.encode import Pending
from app.sinks.rows import Known as Order
from app.sinks.rows import decide


@dataclass(slots=True)
class History:
    """Rows that are in the table, or will be before the next one."""

    there: dict[tuple[str, Order], str | None] = field(default_factory=dict)
    """(signal id, order) -> why it is a stub, or None."""
    latest: dict[str, Order] = field(default_factory=dict)
    """Signal id -> order of its latest good row."""

    def add(self, signal_id: str, order: Order, refused: str | None) -> None:
        """One more row of the table."""
        self.there[signal_id, order] = refused
        if refused is None:
            self.latest[signal_id] = max(order, self.latest.get(signal_id, order))

    def holds(self, row: Pending) -> bool:
        """Whether the row, or its stub, is there."""
        return (row.row.signal_id, row.order) in self.there

    def lacks(self, row: Pending) -> bool:
        """Whether the row says something that the table does not.

        An older version with the content of the latest one does not: a backfill that is repeated leaves
        no trace.
        """
        version, digest = self.latest.get(row.row.signal_id, (-1, None))
        return not (self.holds(row) or (digest == row.row.digest and row.row.version < version))


def judge(row: Pending, history: History) -> Written:
    """What becomes of the row, given what is there before it.

    UNCHANGED says that the latest version stays what it is. The row goes into the history all the
    same, unless the history does not lack it: an older one with another digest, and a newer one with the
    same, which raises the version that later ones have to beat.
    """
    if history.holds(row):
        reason = history.there[row.row.signal_id, row.order]
        return Written(Outcome.UNCHANGED) if reason is None else Written(Outcome.REJECTED, reason)
    if row.refused is not None:
        return Written(Outcome.REJECTED, row.refused)
    return Written(decide(row.row, history.latest.get(row.row.signal_id))[0])


def missing(rows: Iterable[Pending], history: History) -> list[Pending]:
    """Rows to append: what the history lacks, each version once."""
    found = {(row.row.signal_id, row.order): row for row in reversed(list(rows)) if history.lacks(row)}
    return list(reversed(found.values()))


def judge_all(rows: Iterable[Pending], history: History) -> list[Written]:
    """What has become of each row, one after the other onto `history`; once it is known who was refused."""
    written = []
    for row in rows:
        written.append(judge(row, history))
        if not history.holds(row):
            history.add(row.row.signal_id, row.order, row.refused)
    return written
