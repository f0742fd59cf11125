"""`python -m app.embedded.bigquery_process start ...`: bqemulator, with DuckDB on one thread, calls on many.

bqemulator 1.4.0 shares one DuckDB connection between its event loop and the threads of AppendRows. A
query beside an append blocks both for good: the append scans Arrow data in Python and waits for the
interpreter's lock, which the query holds while it waits for the connection. So appends run on the
event loop, too; tests/chaos/test_kill_sinks.py hangs without it.

And each call of AppendRows takes a thread of the loop's pool until it ends. One that is cancelled at the
wrong moment (a client that dies, or waits no longer) never does: with Python's usual 6 threads on two cores,
some faults later nobody can append any more.
"""

import asyncio
import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bqemulator import server
from bqemulator.cli import main
from bqemulator.grpc_api.write_servicer import BigQueryWriteHandler

MOST_CALLS = 1_000


def on_loop(handle: Callable[..., Any], loop: asyncio.AbstractEventLoop) -> Callable[..., Any]:
    """A blocking call that other threads have the event loop make."""

    @functools.wraps(handle)
    def wrapped(*args: Any, **options: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            return handle(*args, **options)

        async def call() -> Any:
            return handle(*args, **options)

        return asyncio.run_coroutine_threadsafe(call(), loop).result()

    return wrapped


def adapt() -> None:
    """Once the emulator's loop runs, which is when it makes its REST app."""
    create_app = vars(server)["create_app"]

    def create(context: Any) -> Any:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(MOST_CALLS))
        handle = on_loop(BigQueryWriteHandler._perform_append, loop)
        setattr(BigQueryWriteHandler, "_perform_append", handle)  # noqa: B010 - patched on purpose
        return create_app(context)

    vars(server)["create_app"] = create


if __name__ == "__main__":
    adapt()
    main()
