"""`sigstream verify`: whether nothing was lost or doubled."""

import asyncio
from dataclasses import asdict

from rich.table import Table

from app.cli.bar import StagesBar
from app.cli.console import err, out, print_json, quiet_logging
from app.config import Settings
from app.verify.run import Finding, Verdict, verify
from app.verify.span import Asked
from app.verify.topics import Step


def run_verify(settings: Settings, asked: Asked, *, drained: bool, as_json: bool) -> bool:
    """Print what differs; whether all is well. Raises Transient when a server does not answer."""
    quiet_logging(settings)
    with StagesBar("verify") as bar:

        def begin(what: str, total: int) -> Step:
            bar.begin(what, total)
            return bar.advance

        verdict = asyncio.run(verify(settings, asked, begin))
    if as_json:
        print_json(_document(verdict))
    else:
        _show(verdict)
    return verdict.holds and (verdict.drained or not drained)


def _document(verdict: Verdict) -> dict[str, object]:
    found = asdict(verdict)
    return {"holds": verdict.holds, "drained": verdict.drained, "complete": verdict.complete, **found}


def _show(verdict: Verdict) -> None:
    records = sum(span.end - span.first for span in verdict.spans)
    console = out()
    if verdict.findings:
        console.print(_table(verdict.findings))
    else:
        console.print("Nothing is missing, extra, different, doubled, unreceipted or outstanding.")
    err().print(f"Compared {verdict.signals:,} signals of {records:,} records.")


def _table(findings: list[Finding]) -> Table:
    table = Table("kind", "where", title="Differences", title_justify="left")
    table.add_column("signals or records", justify="right")
    table.add_column("what", overflow="fold")
    table.add_column("for example", overflow="fold")
    for finding in findings:
        first = finding.examples[0]
        named = "|".join(filter(None, (first.key, first.name)))
        example = " at ".join(filter(None, (named, first.at)))
        table.add_row(finding.kind, finding.where, f"{finding.count:,}", finding.says, example)
    return table
