"""What the demo has found, as tables."""

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from app.cli.status import Status
from app.query.latency import Latency


@dataclass(frozen=True, slots=True)
class Findings:
    """`stored`: distinct signals a store; `history`: rows of BigQuery's append-only table."""

    blocks: int
    stored: dict[str, int]
    history: int | None
    status: Status
    latencies: list[Latency]

    @property
    def good(self) -> bool:
        """All stores hold the same number of signals, some, and nothing is outstanding."""
        return self.reason is None

    @property
    def reason(self) -> str | None:
        """Why not."""
        if not self.status.at_rest:
            return "signals are still on their way: see `sigstream status`"
        if len(set(self.stored.values())) != 1:
            return (
                "the stores hold different numbers of signals: `sigstream trace KEY` tells of a missing one"
            )
        if not next(iter(self.stored.values())):
            return "no signal was stored: see the workers' output"
        return None


def show_findings(console: Console, findings: Findings, took_s: float) -> None:
    """Print the tables and the verdict."""
    console.print(_stored(findings))
    console.print(_latencies(findings.latencies))
    if findings.reason:
        console.print(f"[red]Not as it should be:[/] {findings.reason}", soft_wrap=True)
        return
    new = "" if any(line.stage == "signals" for line in findings.latencies) else ", nothing new among them"
    console.print(
        f"[green]All is settled[/]: {findings.blocks} blocks sent{new}; "
        f"the same signals in all stores; took {took_s:.0f} s.",
        highlight=False,
        soft_wrap=True,
    )


def _stored(findings: Findings) -> Table:
    table = Table("store", title="Stored", title_justify="left")
    table.add_column("distinct signals", justify="right")
    table.add_column("equal")
    most = max(findings.stored.values(), default=0)
    for store, count in findings.stored.items():
        name = f"{store} (view of latest versions)" if store == "bigquery" else store
        table.add_row(name, f"{count:,}", "yes" if count == most else f"{most - count:,} fewer")
    if findings.history is not None:
        table.add_row("bigquery (rows of history)", f"{findings.history:,}", "")
    return table


def _latencies(found: list[Latency]) -> Table:
    title = "Seconds from stage to stage, and since the block was appended to `blocks`"
    table = Table("stage", title=title, title_justify="left")
    for column in ("blocks", "own p50", "own p95", "total p50", "total p95"):
        table.add_column(column, justify="right")
    for line in found:
        table.add_row(line.stage, str(line.blocks), *(f"{seconds:.3f}" for seconds in line[2:]))
    return table
