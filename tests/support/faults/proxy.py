"""A TCP proxy on loopback in front of a real server, with faults that are switched while it runs."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from app.embedded.ports import HOST, free_port
from tests.support.faults.frames import Chunk, chunks, frames

TO_SERVER, TO_CLIENT = "to_server", "to_client"


@dataclass
class Counts:
    """What the proxy has done; a fault proves itself by them."""

    connections: int = 0
    cut: int = 0
    """Connections ended in mid-stream."""
    delayed: int = 0
    """Chunks, or answers of the broker, that came late."""
    stalled: int = 0
    """Chunks that were held back altogether for a while."""


@dataclass(eq=False)
class Link:
    """One client's connection and the one to the server behind it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    asked: dict[int, int] = field(default_factory=dict)
    """Kafka: request type by correlation id."""
    carried: int = 0
    """Bytes to the server since the last `cut`."""

    def abort(self) -> None:
        """Reset both, whatever is on its way."""
        for writer in (self.client, self.server):
            writer.transport.abort()

    async def close(self) -> None:
        """Both ends, once nothing more is to be passed on."""
        for writer in (self.client, self.server):
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class Proxy:
    """Listens on `port` and passes on to `target`, on a thread of its own; methods are for other threads.

    With `kafka`, `produce_delay_s` holds back the answers to produce requests alone.
    """

    def __init__(self, *, kafka: bool = False) -> None:
        self.port = free_port()
        self.target = 0
        self.counts = Counts()
        self.delay_s = {TO_SERVER: 0.0, TO_CLIENT: 0.0}
        """Before each chunk of that direction."""
        self.produce_delay_s = 0.0
        self._kafka = kafka
        self._cuts = self._cut_after = 0
        self._links: set[Link] = set()
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flow()
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def up(self) -> None:
        """Take connections."""
        self._run(self._listen())

    def down(self) -> None:
        """As a server that is down: connections are reset, and new ones refused."""
        self._run(self._close())

    def cut(self, times: int, after_bytes: int) -> None:
        """Reset the next `times` connections, each once it has carried so many more bytes to the server."""
        self._run(self._arm(times, after_bytes))

    def stall(self) -> None:
        """Pass nothing on, and take what comes, until `flow`."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def flow(self) -> None:
        """Without any fault."""
        self.delay_s.update({TO_SERVER: 0.0, TO_CLIENT: 0.0})
        self.produce_delay_s = 0.0
        self._cuts = 0
        self._loop.call_soon_threadsafe(self._flowing.set)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, HOST, self.port)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for link in list(self._links):
            self.counts.cut += 1
            link.abort()
        while self._links:
            await asyncio.sleep(0.005)

    async def _arm(self, times: int, after_bytes: int) -> None:
        self._cuts, self._cut_after = times, after_bytes
        for link in self._links:
            link.carried = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream, server = await asyncio.open_connection(HOST, self.target)
        except OSError:
            writer.transport.abort()
            return
        self.counts.connections += 1
        link = Link(writer, server)
        self._links.add(link)
        try:
            await asyncio.wait(
                [
                    asyncio.ensure_future(self._pump(link, reader, server, TO_SERVER)),
                    asyncio.ensure_future(self._pump(link, upstream, writer, TO_CLIENT)),
                ]
            )
        finally:
            await link.close()
            self._links.discard(link)

    async def _pump(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str
    ) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            async for chunk in frames(reader) if self._kafka else chunks(reader):
                await self._late(link, chunk, way)
                if way == TO_SERVER and await self._is_cut(link, chunk, writer):
                    return
                writer.write(chunk)
                await writer.drain()
        with contextlib.suppress(OSError, RuntimeError):
            if writer.can_write_eof():
                writer.write_eof()
        if way == TO_CLIENT:
            writer.close()

    async def _late(self, link: Link, chunk: Chunk, way: str) -> None:
        pause = self.delay_s[way] + (self._produce_pause(link, chunk, way) if self._kafka else 0.0)
        if pause:
            self.counts.delayed += 1
            await asyncio.sleep(pause)
        if not self._flowing.is_set():
            self.counts.stalled += 1
            await self._flowing.wait()

    def _produce_pause(self, link: Link, chunk: Chunk, way: str) -> float:
        if way == TO_SERVER:
            link.asked[chunk.correlation_of_request] = chunk.request_type
            return 0.0
        is_produce = link.asked.pop(chunk.correlation_of_answer, None) == 0
        return self.produce_delay_s if is_produce else 0.0

    async def _is_cut(self, link: Link, chunk: Chunk, writer: asyncio.StreamWriter) -> bool:
        """The server gets the first part of a statement, and never its end."""
        link.carried += len(chunk)
        if not self._cuts or link.carried <= self._cut_after:
            return False
        self._cuts -= 1
        self.counts.cut += 1
        over = link.carried - self._cut_after
        writer.write(chunk[: max(0, len(chunk) - over)])
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(writer.drain(), 0.5)
        link.abort()
        return True
