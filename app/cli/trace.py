"""`sigstream trace`: where one signal has been, and when."""

import asyncio

from rich.table import Table

from app.cli.console import out, print_json, quiet_logging, spinner
from app.config import Settings
from app.query.kafka import open_reader
from app.query.steps import Step
from app.query.trace import TraceKey, parse_key, trace


def show_trace(settings: Settings, key: str, *, as_json: bool) -> None:
    """Print a signal's way. Raises ContractError for a malformed key, Terminal for an unknown one."""
    wanted = parse_key(key)
    quiet_logging(settings)
    with spinner("reading topics"):
        steps = asyncio.run(_read(settings, wanted))
    if as_json:
        print_json({"key": str(wanted), "steps": [_document(step) for step in steps]})
    else:
        out().print(_table(wanted, steps))


async def _read(settings: Settings, key: TraceKey) -> list[Step]:
    async with open_reader(settings) as reader:
        return await trace(settings, reader, key)


def _document(step: Step) -> dict[str, object]:
    document = step._asdict()
    del document["rank"]
    return document


def _table(key: TraceKey, steps: list[Step]) -> Table:
    table = Table(title=str(key), title_justify="left")
    for column in ("at (UTC)", "stage", "outcome", "topic/partition/offset", "reason"):
        table.add_column(column, overflow="fold")
    for step in steps:
        at = step.at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        place = f"{step.topic}/{step.partition}/{step.offset}"
        table.add_row(at, step.stage, step.outcome, place, step.reason or "")
    return table
