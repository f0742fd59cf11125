"""A worker that is struck at an exact moment: `python -m tests.support.struck dedupe`, with FAULT set.

`FAULT=SIGKILL@appended:2`: at the second passing of that moment the process sends itself the signal, in
the middle of whatever else it does. The product has no such hooks: its methods are wrapped here.
"""

import inspect
import os
import signal
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from app.cli.worker import command_of

VARIABLE = "FAULT"


class Moment(NamedTuple):
    """Where in the product; `after`: when the call has returned, and did not raise."""

    module: str
    owner: str
    method: str
    after: bool


MOMENTS = {
    # BigQuery: looked what is there, the rows are on their way; one partition's rows are in.
    "appending": Moment("app.sinks.bigquery.streams", "PartitionStream", "append", False),
    "appended": Moment("app.sinks.bigquery.streams", "PartitionStream", "append", True),
    # SQLite: before its transaction; amid it, with the file locked.
    "storing": Moment("app.sinks.sqlite.store", "Store", "write", False),
    "locked": Moment("app.sinks.sqlite.store", "Store", "_at_once", True),
    # PostgreSQL: before the statement; amid a transaction, with rows locked.
    "upserting": Moment("app.sinks.timescale.upsert", "Upsert", "store", False),
    "merged": Moment("app.sinks.timescale.upsert", "Upsert", "_insert", True),
    # Any: the store has all of a batch, nobody was told; receipts are in Kafka, offsets are not.
    "written": Moment("app.sinks.worker", "SinkWorker", "_answer", False),
    "answered": Moment("app.sinks.worker", "SinkWorker", "_commit", False),
    # An agent: amid a record, with others behind it, and sends on their way.
    "forwarding": Moment("app.streaming.app", "SafeApp", "forward", False),
    # An agent: a part of its tables is there, the rest of the changelog is not.
    "filling": Moment("app.streaming.recovery", "BulkRecovery", "_apply", True),
}


def strike_at(moment: Moment, number: int, stroke: signal.Signals) -> None:
    """Have the process struck when it passes the moment for the n-th time."""
    owner = getattr(import_module(moment.module), moment.owner)
    # To this thread: sent to the process, another one may take it while this one runs on.
    passed = _counter(number, lambda: signal.pthread_kill(threading.get_ident(), stroke))
    setattr(owner, moment.method, _wrapped(getattr(owner, moment.method), passed, after=moment.after))


def _counter(number: int, strike: Callable[[], None]) -> Callable[[], None]:
    count = 0

    def passed() -> None:
        nonlocal count
        count += 1
        if count == number:
            strike()

    return passed


def _wrapped(method: Any, passed: Callable[[], None], *, after: bool) -> Any:
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        if not after:
            passed()
        found = await method(*args, **kwargs)
        if after:
            passed()
        return found

    def called(*args: Any, **kwargs: Any) -> Any:
        if not after:
            passed()
        found = method(*args, **kwargs)
        if after:
            passed()
        return found

    return awaited if inspect.iscoroutinefunction(method) else called


def run(name: str, sink: str | None = None) -> None:
    """As `sigstream worker` does, in this process."""
    _, _, _, module, *arguments = command_of(name, sink)
    sys.argv = [module, *arguments]
    main = import_module("faust.cli.faust").cli if module == "faust" else import_module(module).main
    sys.exit(main())


if __name__ == "__main__":
    name, _, where = os.environ[VARIABLE].partition("@")
    moment, _, count = where.partition(":")
    strike_at(MOMENTS[moment], int(count), signal.Signals[name])
    run(*sys.argv[1:])
