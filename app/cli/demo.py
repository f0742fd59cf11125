"""`sigstream demo`: everything at once on this machine, and whether it all adds up.

Servers and workers need the main thread (a child ends with the thread that started it); the demo's
own work goes on beside it.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from app.cli.console import err, out, quiet_logging
from app.cli.demo_report import Findings, show_findings
from app.cli.ingest import of_files
from app.cli.status import Status, read_status
from app.config import Settings
from app.errors import Terminal, Transient
from app.query.kafka import open_reader
from app.query.latency import ends, latencies, read_times
from app.query.stores import open_store
from app.sources.ingest import Report, Source, in_memory, ingest
from app.sources.simulator import simulate
from app.streaming.topics import ensure_topics, pipeline_topics
from app.supervisor import Up

BLOCKS, SEED = 100, 1
"""The same each time: a second run finds all signals stored already."""
REAL_BLOCKS = Path(__file__).parents[2] / "tests" / "fixtures" / "blocks"
"""Two of the main chain, where the product runs from its sources."""
START_S = 90.0
"""Longest wait for all workers to have joined their groups."""
POLL_S = 0.5

Say = Callable[[str], None]


class Sent(NamedTuple):
    """What the demo has put on `blocks`."""

    correlation_ids: set[str]
    hashes: list[str]


def run_demo(settings: Settings, deadline_s: float) -> int:
    """Run it; the exit code: 0 when all stores hold the same and all is settled.

    Raises ServerDidNotStart and ConfigurationError when the servers can't start, Terminal when
    signals are not settled by the deadline.
    """
    quiet_logging(settings)
    started = time.monotonic()
    with _display() as display, _WorkerLog(_log_file(settings)) as log:
        say = _sayer(display, log.path)
        say("starting servers and workers")
        up = Up(settings, write=log.write)
        with up:
            findings = _beside(up, _demo(up.settings, deadline_s, say))
            say("stopping workers and servers")
    show_findings(out(), findings, time.monotonic() - started)
    return 0 if findings.good else 1


def _beside(up: Up, work: Coroutine[Any, Any, Findings]) -> Findings:
    """What `work` returns or raises; meanwhile the supervisor looks after servers and workers."""
    box: list[Findings | BaseException] = []

    def run() -> None:
        try:
            box.append(asyncio.run(work))
        except BaseException as error:
            box.append(error)

    threading.Thread(target=run, daemon=True).start()
    while not up.wait_until(lambda: bool(box), 60):
        pass
    if isinstance(box[0], BaseException):
        raise box[0]
    return box[0]


async def _demo(settings: Settings, deadline_s: float, say: Say) -> Findings:
    await ensure_topics(settings, pipeline_topics(settings))
    await _until_joined(settings, say)
    async with open_reader(settings) as reader:
        since = await ends(settings, reader)
    sent = await _send(settings, say)
    status = await _until_settled(settings, sent, deadline_s, say)
    say("reading stores and topics")
    async with open_reader(settings) as reader:
        times = await read_times(settings, reader, since, sent.correlation_ids)
    stored = {name: await open_store(settings, name).count() for name in settings.required_sinks}
    return Findings(len(sent.hashes), stored, await _history(settings), status, latencies(times))


async def _until_joined(settings: Settings, say: Say) -> None:
    """Else the first latencies would be those of starting workers."""
    deadline = time.monotonic() + START_S
    while True:
        missing = [group.stage for group in (await read_status(settings)).groups if group.state != "Stable"]
        if not missing:
            return
        say(f"waiting for workers: {', '.join(missing)}")
        if time.monotonic() > deadline:
            raise Terminal(
                f"workers {', '.join(missing)} have not joined their groups within {START_S:g} s: "
                f"see their output in {_log_file(settings)}"
            )
        await asyncio.sleep(POLL_S)


async def _send(settings: Settings, say: Say) -> Sent:
    say(f"sending {BLOCKS} simulated blocks")
    reports = [await ingest(settings, in_memory(simulate(BLOCKS, SEED)), "BTC-SIM")]
    real = of_files([REAL_BLOCKS]) if REAL_BLOCKS.is_dir() else []
    reports.append(await _send_real(settings, real))
    failed = {label: reason for report in reports for label, reason in report.failed.items()}
    if failed:
        raise Terminal("; ".join(f"{label} was not sent: {reason}" for label, reason in failed.items()))
    blocks = [block for report in reports for block in report.sent]
    return Sent({block.correlation_id for block in blocks}, [block.hash for block in blocks])


async def _send_real(settings: Settings, sources: list[Source]) -> Report:
    return await ingest(settings, sources, "BTC", isolated=True) if sources else Report()


async def _until_settled(settings: Settings, sent: Sent, deadline_s: float, say: Say) -> Status:
    """Wait until nothing is on its way, nothing is owed, and every block has signals in a store."""
    deadline = time.monotonic() + deadline_s
    status, missing = None, len(sent.hashes)
    while True:
        try:
            status = await read_status(settings)
            missing = await _blocks_missing(settings, sent) if status.at_rest else missing
            if status.at_rest and not missing:
                return status
        except Transient as error:  # a server that the supervisor is starting again
            say(str(error))
        if time.monotonic() > deadline:
            raise Terminal(
                f"not settled within {deadline_s:g} s ({_open(status, missing)}): see the workers' output in "
                f"{_log_file(settings)}, or wait longer with --deadline"
            )
        say(_open(status, missing))
        await asyncio.sleep(POLL_S)


async def _blocks_missing(settings: Settings, sent: Sent) -> int:
    store = open_store(settings, settings.required_sinks[-1])
    marks = ", ".join(store.mark(number, f"h{number}") for number in range(1, len(sent.hashes) + 1))
    arguments = {f"h{number}": block for number, block in enumerate(sent.hashes, 1)}
    rows = await store.query(
        f"SELECT count(DISTINCT block_hash) AS n FROM {store.table} "  # noqa: S608 - marks alone
        f"WHERE block_hash IN ({marks})",
        arguments,
    )
    return len(sent.hashes) - int(rows[0]["n"])


def _open(status: Status | None, missing: int) -> str:
    """What is still to do, in words."""
    if status is None:
        return "Kafka has not answered yet"
    lags = [f"{group.stage} {group.total_lag}" for group in status.groups if group.total_lag]
    owed = [f"{sink} {count}" for sink, count in (status.outstanding or {}).items() if count]
    parts = [f"lag {', '.join(lags)}"] if lags else []
    parts += [f"without receipt {', '.join(owed)}"] if owed else []
    return "; ".join(parts) or f"blocks without signals {missing}"


async def _history(settings: Settings) -> int | None:
    """Rows of the BigQuery table; None without BigQuery."""
    if "bigquery" not in settings.required_sinks:
        return None
    from app.sinks.bigquery import BigQueryConfig

    return await open_store(settings, "bigquery").count(f"`{BigQueryConfig.of(settings).table_id}`")


def _log_file(settings: Settings) -> Path:
    return settings.data_dir / "demo.log"


class _WorkerLog:
    """Output of the workers, out of the display's way."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> "_WorkerLog":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("w")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, line: str) -> None:
        """One line; called on the workers' threads."""
        self._file.write(f"{line}\n")
        self._file.flush()


def _display() -> Progress:
    console = err()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _sayer(display: Progress, log: Path) -> Say:
    """Shows what goes on; where stderr is no terminal, a line for each news."""
    task = display.add_task("", total=None)
    last = [f"workers' output goes to {log}"]
    display.console.print(last[0], highlight=False)

    def say(text: str) -> None:
        display.update(task, description=text)
        if display.disable and text != last[0]:
            display.console.print(text, highlight=False, soft_wrap=True)
        last[0] = text

    return say
