"""What the doubles of servers have in common: real HTTP on a free port, in a thread of its own."""

import threading
import time
from abc import ABC, abstractmethod
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, Self


class Answer(NamedTuple):
    """A response."""

    status: int
    body: bytes
    content_type: str = "application/json"


class HttpDouble(ABC):
    """Answers requests until the block ends; `asked` has them all, with the time of each."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.asked: list[tuple[float, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(5)
        self._server.server_close()

    @abstractmethod
    def answer(self, path: str, body: bytes, authorization: str | None) -> Answer:
        """What the server says; called with the lock held."""

    def note(self, what: str) -> None:
        """Remember that this was asked."""
        self.asked.append((time.monotonic(), what))

    def times(self, what: str) -> list[float]:
        """When this was asked."""
        with self.lock:
            return [when for when, name in self.asked if name == what]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._respond()

            def do_POST(self) -> None:
                self._respond()

            def _respond(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with double.lock:
                    found = double.answer(self.path, body, self.headers.get("Authorization"))
                self.send_response(found.status)
                self.send_header("Content-Type", found.content_type)
                self.send_header("Content-Length", str(len(found.body)))
                self.end_headers()
                self.wfile.write(found.body)

            def log_message(self, *_: object) -> None:
                """Nothing on stderr."""

        return Handler
