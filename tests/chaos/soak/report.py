"""The table of a run, in Markdown, put between two marks of a page."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from tests.chaos.soak.run import Course, Result

COLUMNS = (
    "fault", "injected", "lost", "doubled", "unreceipted", "caught up after (s), median", "max",
)  # fmt: skip


def as_table(course: Course, command: str) -> str:
    """A row a kind of fault, and one for all."""
    kinds = sorted({result.kind for result in course.results})
    done = {kind: [r for r in course.results if r.kind == kind] for kind in kinds}
    rows = [row(kind, results) for kind, results in done.items()]
    rows.append(row("**all**", course.results))
    proofs = [f"- {kind}: {results[0].proof}" for kind, results in done.items()]
    size = f"{len(course.results)} faults, {course.signals:,} signals"
    head = f"`{command}`, {datetime.now(UTC):%Y-%m-%d}: {size}."
    ended = "".join(f"\n\nDid not catch up: {stuck}" for stuck in course.stuck)
    return "\n\n".join(
        [
            head + ended,
            markdown(COLUMNS, rows),
            damage(course),
            "The first proof of each kind:",
            "\n".join(proofs),
        ]
    )


def row(kind: str, results: Sequence[Result]) -> list[str]:
    """Faults that did not happen are not counted as injected."""
    proven = [result for result in results if result.proof]
    seconds = [result.seconds for result in proven] or [0.0]
    sums = [sum(getattr(r.damage, name) for r in results) for name in ("lost", "doubled", "unreceipted")]
    return [kind, str(len(proven)), *map(str, sums), f"{median(seconds):.1f}", f"{max(seconds):.1f}"]


def damage(course: Course) -> str:
    """What was wrong, and what did not happen."""
    lines = [
        f"- {r.kind}: {says}" for r in course.results if r.damage.any or not r.proof for says in r.damage.says
    ]
    return "\n".join(["What was found:", "", *lines]) if lines else "Nothing was found to be wrong."


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [columns, ["---"] + ["--:"] * (len(columns) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_table(file: Path, name: str, table: str) -> None:
    """Between `<!-- name -->` and `<!-- /name -->`. Raises ValueError for a page without them."""
    text = file.read_text()
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, found, rest = text.partition(begin)
    _, ends, after = rest.partition(end)
    if not found or not ends:
        raise ValueError(f"{file} has no {begin.strip()} ... {end}: put them where the table belongs")
    file.write_text(f"{before}{begin}{table}\n{end}{after}")
