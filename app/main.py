"""The command line: `sigstream`. Thin: each command calls one function elsewhere."""

from typing import Annotated

import typer

from app.cli import worker as worker_process
from app.cli.guard import GuardedGroup, load_settings

app = typer.Typer(
    name="sigstream",
    cls=GuardedGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Signals of Bitcoin blocks and other producers on Kafka: computed, deduplicated, stored, settled.",
)
ingest = typer.Typer(no_args_is_help=True, help="Put blocks on the `blocks` topic.")
app.add_typer(ingest, name="ingest")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.command()
def worker(
    name: Annotated[str, typer.Argument(help="blocks, dedupe, receipts, or sink.")],
    sink: Annotated[str | None, typer.Argument(help="Of `sink`: bigquery, sqlite or timescale.")] = None,
) -> None:
    """Run one worker in this process: `worker dedupe`, `worker sink sqlite`."""
    worker_process.become(worker_process.command_of(name, sink), load_settings())


def main() -> None:
    """Entry point of the `sigstream` program."""
    app()
