"""Small means to find out whether a server answers."""

import asyncio
import socket
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from app.embedded.ports import HOST

T = TypeVar("T")


def listens(port: int) -> bool:
    """Whether a TCP connection is accepted."""
    with socket.socket() as client:
        client.settimeout(1.0)
        return client.connect_ex((HOST, port)) == 0


def wait_for(coroutine: Coroutine[Any, Any, T]) -> T:
    """The coroutine's result, also where this thread has a running event loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()
