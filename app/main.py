"""The command line: `sigstream`. Thin: each command calls one function elsewhere.

That function is imported by its command: a worker need not wait for what `demo` or `signals` load.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from app.cli.guard import GuardedGroup
from app.config import settings

app = typer.Typer(
    name="sigstream",
    cls=GuardedGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
ingest = typer.Typer(no_args_is_help=True, help="Put blocks on the `blocks` topic.")
app.add_typer(ingest, name="ingest")
labels = typer.Typer(no_args_is_help=True, help="Who owns an address: built-in facts and SIGSTREAM_LABELS.")
app.add_typer(labels, name="labels")
dlq = typer.Typer(
    no_args_is_help=True, help="Dead letters: what could not be processed, and sending it again."
)
app.add_typer(dlq, name="dlq")

First = Annotated[
    int | None,
    typer.Option("--from", min=0, help="First height; default: behind the last that the topic holds."),
]
Last = Annotated[int | None, typer.Option("--to", min=0, help="Last height; default: the tip.")]
Follow = Annotated[bool, typer.Option("--follow", help="Go on with new blocks until stopped.")]
Chain = Annotated[str, typer.Option(help="Symbol of the signals.")]

MOST = 2**63 - 1
"""What Kafka counts to."""
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]

Places = Annotated[
    list[str] | None, typer.Argument(help="PARTITION/OFFSET as `dlq list` shows; default: all that are open.")
]
Stage = Annotated[str | None, typer.Option(help="Only of this stage: blocks, dedupe, sink.sqlite ...")]
Reason = Annotated[str | None, typer.Option(help="Only where the reason holds this text, in any case.")]
Since = Annotated[str | None, typer.Option(help="Only from this time on, like 2026-01-31T12:00:00Z.")]
Until = Annotated[str | None, typer.Option(help="Only before this time.")]
Key = Annotated[str | None, typer.Option(help="Only with this key, in full.")]
Oldest = Annotated[int | None, typer.Option("--limit", min=1, help="Only the oldest so many.")]
Yes = Annotated[bool, typer.Option("--yes", help="Don't ask.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("sigstream"))
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and leave."),
    ] = False,
) -> None:
    """Signals of Bitcoin blocks and other producers on Kafka: computed, deduplicated, stored, settled."""


@app.command()
def up() -> None:
    """Run servers that are not configured, and all workers, on this machine until Ctrl-C."""
    from app.supervisor import run_up

    raise typer.Exit(run_up(settings()))


@app.command()
def demo(
    deadline: Annotated[int, typer.Option(min=1, help="Seconds to wait for all signals.")] = 180,
) -> None:
    """Start everything, send 102 blocks through it, and compare what the stores hold."""
    from app.cli.demo import run_demo

    raise typer.Exit(run_demo(settings(), deadline))


@app.command()
def worker(
    name: Annotated[str, typer.Argument(help="blocks, dedupe, receipts, or sink.")],
    sink: Annotated[str | None, typer.Argument(help="Of `sink`: bigquery, sqlite or timescale.")] = None,
) -> None:
    """Run one worker in this process: `worker dedupe`, `worker sink sqlite`."""
    from app.cli.worker import become, command_of

    become(command_of(name, sink), settings())


@ingest.command("files")
def ingest_files(
    paths: Annotated[
        list[Path], typer.Argument(help="`getblock <hash> 3` as .json or .json.zst; or folders.")
    ],
    chain: Annotated[str, typer.Option(help="Symbol of the signals.")] = "BTC",
    isolated: Annotated[bool, typer.Option(help="Single blocks out of context: no windows.")] = False,
) -> None:
    """Send blocks from files."""
    from app.cli.ingest import ingest_files

    raise typer.Exit(0 if ingest_files(settings(), paths, chain, isolated=isolated) else 1)


@ingest.command("simulate")
def ingest_simulation(
    blocks: Annotated[int, typer.Option(min=0, help="How many; 0: only --labels-to.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same blocks.")] = 1,
    chain: Annotated[str, typer.Option(help="Symbol of the signals.")] = "BTC-SIM",
    reorgs: Annotated[int, typer.Option(min=0, help="Branches that are the chain and then lost.")] = 0,
    depth: Annotated[
        int | None, typer.Option(min=1, help="Of --reorgs: most blocks lost at once; default: 3.")
    ] = None,
    gaps: Annotated[int, typer.Option(min=0, help="Runs of blocks withheld for long.")] = 0,
    late: Annotated[int, typer.Option(min=0, help="Blocks that come long after others.")] = 0,
    doubles: Annotated[int, typer.Option(min=0, help="Blocks sent again.")] = 0,
    economy: Annotated[
        bool, typer.Option("--economy", help="Real flows: labelled owners, and every coin accounted for.")
    ] = False,
    labels_to: Annotated[
        Path | None, typer.Option(help="Of --economy: write who they are into this CSV file.")
    ] = None,
) -> None:
    """Send blocks of the simulator; disturbed ones out of order, as a network may bring them."""
    from app.cli.ingest import Simulation, ingest_simulation

    wanted = Simulation(blocks, seed, reorgs, depth, gaps, late, doubles, economy, labels_to)
    raise typer.Exit(0 if ingest_simulation(settings(), wanted, chain) else 1)


@ingest.command("core")
def ingest_core(
    first: First = None,
    last: Last = None,
    follow: Follow = False,
    chain: Chain = "BTC",
    rate: Annotated[float | None, typer.Option(min=0.001, help="Most blocks a second.")] = None,
    poll: Annotated[
        float | None, typer.Option(min=0.1, help="Of --follow: seconds between two looks; default: 5.")
    ] = None,
    zmq: Annotated[
        str | None, typer.Option(help="Of --follow: the node's zmqpubhashblock, to look sooner.")
    ] = None,
    mempool_every: Annotated[
        float | None, typer.Option(min=1, help="Of --follow: seconds between two mempool snapshots.")
    ] = None,
) -> None:
    """Send blocks of a Bitcoin Core node (SIGSTREAM_CORE_*)."""
    from app.cli.feeding import ingest_core
    from app.sources.core import Beside
    from app.sources.session import Wanted

    wanted = Wanted(chain, first, last, follow, poll, rate)
    ingest_core(settings(), wanted, Beside(zmq, mempool_every))


@ingest.command("esplora")
def ingest_esplora(
    url: Annotated[str, typer.Option(help="Of the API: http://127.0.0.1:3000, https://host/api.")],
    first: First = None,
    last: Last = None,
    follow: Follow = False,
    chain: Chain = "BTC",
    rate: Annotated[float, typer.Option(min=0.001, help="Most requests a second.")] = 10.0,
    poll: Annotated[
        float | None, typer.Option(min=0.1, help="Of --follow: seconds between two looks; default: 30.")
    ] = None,
) -> None:
    """Send blocks of an Esplora server."""
    from app.cli.feeding import ingest_esplora
    from app.sources.session import Wanted

    ingest_esplora(settings(), url, Wanted(chain, first, last, follow, poll), rate)


@ingest.command("etl")
def ingest_etl(
    blocks: Annotated[Path, typer.Argument(help="blocks.json of Bitcoin ETL.")],
    transactions: Annotated[Path, typer.Argument(help="transactions.json of the same export.")],
    first: First = None,
    chain: Chain = "BTC",
) -> None:
    """Send blocks that Bitcoin ETL has exported."""
    from app.cli.feeding import ingest_etl

    ingest_etl(settings(), blocks, transactions, chain, first)


@app.command()
def migrate() -> None:
    """Bring the schema of PostgreSQL up to date, as its owner; for sinks whose user may not."""
    from app.cli.migrate import run_migrate

    run_migrate(settings())


@app.command()
def backfill(
    first: Annotated[int, typer.Option("--from", min=0, help="First height.")],
    last: Annotated[int, typer.Option("--to", min=0, help="Last height.")],
    source: Annotated[
        str,
        typer.Option(
            help="core, esplora:URL, simulate:SEED, etl:BLOCKS,TRANSACTIONS, or a file or folder of blocks."
        ),
    ],
    namespace: Annotated[str, typer.Option(help="Of the backfill's own topics; the stores are shared.")],
    chain: Annotated[str | None, typer.Option(help="Symbol of the signals; default: BTC.")] = None,
    warm_up: Annotated[
        int | None,
        typer.Option(min=0, help="Blocks read before --from; default: 1008, with --replace 52560."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace what is stored; default: it stays.")
    ] = False,
    processes: Annotated[int, typer.Option(min=1, help="That read blocks side by side.")] = 2,
    metrics_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where it serves metrics; its workers: the next ones.")
    ] = 0,
    niceness: Annotated[
        int, typer.Option(min=0, max=19, help="Of its processes; 0: none gives way to other programs.")
    ] = 15,
    clean: Annotated[bool, typer.Option("--clean", help="Delete its topics once all is stored.")] = False,
) -> None:
    """Compute history beside the live pipeline, into the same stores; the same command resumes."""
    from app.backfill.plan import warm_up_of
    from app.backfill.run import Asked
    from app.backfill.sources import chain_of
    from app.cli.backfill import run_backfill
    from app.model.keys import canonical_symbol

    symbol = canonical_symbol(chain_of(source, chain))
    before = warm_up_of(replace) if warm_up is None else warm_up
    asked = Asked(namespace, symbol, first, last, source, before, replace, processes, metrics_port, niceness)
    raise typer.Exit(run_backfill(settings(), asked, clean_up=clean))


@app.command()
def status(as_json: AsJson = False) -> None:
    """Topics, consumer groups and their lag, and what each sink still owes."""
    from app.cli.status import show_status

    show_status(settings(), as_json=as_json)


@app.command()
def signals(
    store: Annotated[str | None, typer.Option(help="sqlite, timescale or bigquery.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Only of this instrument.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only of this provider.")] = None,
    name: Annotated[str | None, typer.Option(help="Only signals of this name.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most rows.")] = 20,
    as_json: AsJson = False,
) -> None:
    """The latest signals in a store."""
    from app.cli.signals import show_signals
    from app.query.signals import Wanted

    show_signals(settings(), store, Wanted(symbol, provider, name, limit), as_json=as_json)


@app.command()
def trace(
    key: Annotated[str, typer.Argument(help="'provider|symbol|ts' or 'provider|symbol|ts|name'.")],
    as_json: AsJson = False,
) -> None:
    """One signal's way: which stage, which sink, when, and if not, why not."""
    from app.cli.trace import show_trace

    show_trace(settings(), key, as_json=as_json)


@app.command("verify")
def verify_command(
    first_offset: Annotated[
        int | None, typer.Option("--from-offset", min=0, max=MOST, help="Of signals.raw, on each partition.")
    ] = None,
    end_offset: Annotated[
        int | None, typer.Option("--to-offset", min=0, max=MOST, help="Not included.")
    ] = None,
    since: Since = None,
    until: Until = None,
    drained: Annotated[bool, typer.Option("--drained", help="What is on its way counts as wrong.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare what came in with topics, stores and receipts; exit code 1 when anything differs."""
    from app.cli.times import read_time
    from app.cli.verify import run_verify
    from app.verify.span import Asked

    asked = Asked(first_offset, end_offset, read_time("--since", since), read_time("--until", until))
    raise typer.Exit(0 if run_verify(settings(), asked, drained=drained, as_json=as_json) else 1)


@app.command()
def replay(
    from_offset: Annotated[
        str | None, typer.Option(help="On each partition; `earliest`: all that Kafka has.")
    ] = None,
    from_time: Annotated[str | None, typer.Option(help="Of the broker, like 2026-01-31T12:00:00Z.")] = None,
    from_height: Annotated[
        int | None, typer.Option(min=0, help="Signals of blocks from this height on.")
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(help="In the same unit: an offset or a time that is not included, or the last height."),
    ] = None,
    sink: Annotated[
        list[str] | None, typer.Option(help="bigquery, sqlite or timescale; default: all required.")
    ] = None,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Read `blocks` instead, and compute their signals again.")
    ] = False,
    chain: Annotated[str, typer.Option(help="Of --recompute: symbol of the chain.")] = "BTC",
    warm_up: Annotated[
        int | None,
        typer.Option(min=0, help="Of --recompute: blocks read before the first; default: all there are."),
    ] = None,
    allow_cold: Annotated[
        bool, typer.Option("--allow-cold", help="Of --recompute: replace what had a longer window, too.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing, say what would change.")] = False,
    metrics_port: Annotated[int, typer.Option(min=0, max=65535, help="Serve metrics meanwhile.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Write records of `signals` to the stores once more; goes on where it was stopped."""
    from app.cli.asked import check_alone, read_asked
    from app.cli.replay import Options, run_recompute, run_replay
    from app.replay.recompute import Wanted

    asked = read_asked(from_offset, from_time, from_height, to)
    options = Options(tuple(sink or ()), dry_run, as_json, metrics_port)
    if recompute:
        wanted = Wanted(asked, chain, warm_up, allow_cold)
        raise typer.Exit(run_recompute(settings(), wanted, options))
    check_alone(warm_up, allow_cold=allow_cold)
    raise typer.Exit(run_replay(settings(), asked, options))


@app.command()
def features(
    file: Annotated[Path, typer.Argument(help="`getblock <hash> 3` as .json or .json.zst.")],
    as_json: AsJson = False,
) -> None:
    """What is computed from one block, without any server."""
    from app.cli.features import show_features

    show_features(settings(), file, as_json=as_json)


@labels.command("show")
def labels_show(as_json: AsJson = False) -> None:
    """Version, counts, sources and conflicts of the labels in use."""
    from app.cli.labels import show_labels

    show_labels(settings(), as_json=as_json)


@labels.command("check")
def labels_check(
    files: Annotated[list[Path], typer.Argument(help="pools-v2.json, TagPack (.yaml) or .csv.")],
    as_json: AsJson = False,
) -> None:
    """What is wrong with files of labels, and where they disagree; exit code 1 where one is broken."""
    from app.cli.labels import check_labels

    raise typer.Exit(0 if check_labels(settings(), files, as_json=as_json) else 1)


@labels.command("find")
def labels_find(
    address: Annotated[str, typer.Argument(help="As `getblock` writes it.")], as_json: AsJson = False
) -> None:
    """Who owns an address; exit code 1 where nobody is known."""
    from app.cli.labels import find_label

    raise typer.Exit(0 if find_label(settings(), address, as_json=as_json) else 1)


@dlq.command("list")
def dlq_list(
    stage: Stage = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    key: Key = None,
    limit: Annotated[int, typer.Option(min=1, help="Most rows.")] = 100,
    every: Annotated[bool, typer.Option("--all", help="Those replayed or dropped, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Dead letters that nobody has dealt with, oldest first."""
    from app.cli.dlq import list_letters, wanted_of

    wanted = wanted_of((), stage, reason, since, until, key, handled=every)
    list_letters(settings(), wanted, limit, as_json=as_json)


@dlq.command("show")
def dlq_show(
    place: Annotated[str, typer.Argument(help="PARTITION/OFFSET as `dlq list` shows.")],
    as_json: AsJson = False,
) -> None:
    """All of one dead letter: where it came from, the whole reason, headers and value."""
    from app.cli.dlq import show_letter

    show_letter(settings(), place, as_json=as_json)


@dlq.command("replay")
def dlq_replay(
    places: Places = None,
    stage: Stage = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    key: Key = None,
    limit: Oldest = None,
    max_attempts: Annotated[
        int | None, typer.Option(min=1, help="Most replays; default: SIGSTREAM_DLQ_MAX_ATTEMPTS, 3.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="However often it came back.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Those replayed or dropped before, too.")] = False,
    yes: Yes = False,
) -> None:
    """Send dead letters to where they came from; exit code 1 where one was refused."""
    from app.cli.dlq import replay_letters, wanted_of
    from app.dlq.restore import Limits

    wanted = wanted_of(places or (), stage, reason, since, until, key, handled=again or bool(places))
    limits = Limits(None if force else max_attempts or settings().dlq_max_attempts, again)
    raise typer.Exit(0 if replay_letters(settings(), wanted, limit, limits, yes=yes) else 1)


@dlq.command("drop")
def dlq_drop(
    places: Places = None,
    stage: Stage = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    key: Key = None,
    limit: Oldest = None,
    yes: Yes = False,
) -> None:
    """Count dead letters as dealt with, without sending them; exit code 1 where one was refused."""
    from app.cli.dlq import drop_letters, wanted_of

    wanted = wanted_of(places or (), stage, reason, since, until, key, handled=bool(places))
    raise typer.Exit(0 if drop_letters(settings(), wanted, limit, yes=yes) else 1)


@app.command()
def backtest(
    processor: Annotated[str, typer.Option(help="Whose forecasts to score.")] = "predictive",
    stats: Annotated[Path | None, typer.Option(help="Parquet file of `getblockstats` rows.")] = None,
    source: Annotated[
        list[Path] | None, typer.Option(help="`getblock <hash> 3` as .json or .json.zst, or a folder.")
    ] = None,
    topic: Annotated[str | None, typer.Option(help="blocks or block-features, of Kafka.")] = None,
    first: Annotated[int | None, typer.Option("--from", min=0, help="Lowest height.")] = None,
    last: Annotated[int | None, typer.Option("--to", min=0, help="Highest height.")] = None,
    param: Annotated[list[str] | None, typer.Option(help="Of the processor: name=value.")] = None,
    warm_up: Annotated[int, typer.Option(min=1, help="Blocks at the start that are not scored.")] = 200,
    chain: Annotated[str, typer.Option(help="Symbol of the chain.")] = "BTC",
    plot: Annotated[Path | None, typer.Option(help="Draw a picture into this .png file.")] = None,
    as_json: AsJson = False,
) -> None:
    """How a processor's forecasts of the next block would have fared, without look-ahead."""
    from app.backtest.blocks import Heights
    from app.cli.backtest import Request, run_backtest

    heights = Heights(first, last)
    request = Request(processor, param or (), stats, source or (), topic, heights, chain, warm_up, plot)
    run_backtest(settings(), request, as_json=as_json)


def main() -> None:
    """Entry point of the `sigstream` program."""
    app()


if __name__ == "__main__":
    main()
