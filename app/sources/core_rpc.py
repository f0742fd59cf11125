"""JSON-RPC of Bitcoin Core over HTTP: calls, batches, retries. What the answers mean: `core_errors`."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

import httpx
import msgspec
import orjson

from app.config import Settings
from app.errors import ConfigurationError, Terminal, Transient
from app.sources.address import checked_url
from app.sources.answers import MAX_CORE_BYTES, read_limited
from app.sources.core_errors import RpcError, of_error, of_status, unreachable
from app.sources.patience import tries

T = TypeVar("T")


class Reply(msgspec.Struct, Generic[T]):
    """One answer: JSON-RPC 1.0 has both fields, 2.0 one of them."""

    result: T | None = None
    error: RpcError | None = None
    id: int | None = None


class CoreRpc:
    """A client of one node; `async with` it.

    Every method raises Transient once a failure that may pass (no connection, 5xx, a full work queue, the
    node warming up) has lasted `source_retry_s`, and Terminal at once for anything else.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.url = checked_url(
            "SIGSTREAM_CORE_URL",
            settings.core_url,
            login="put them into SIGSTREAM_CORE_USER and SIGSTREAM_CORE_PASSWORD",
        )
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(settings.core_timeout_s, connect=5.0), trust_env=False
        )

    async def __aenter__(self) -> Self:
        """Nothing is asked yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def call(self, method: str, *params: Any, result: type[T]) -> T:
        """The method's result, decoded as `result`. Raises NodeRefused with the node's code, too."""
        request = {"jsonrpc": "1.0", "id": 0, "method": method, "params": params}
        decoder = msgspec.json.Decoder(Reply[result])  # type: ignore[valid-type]
        async for attempt in self._tries():
            with attempt:
                reply = await self._post(method, request, decoder)
                return cast(T, _result(reply, method))
        raise AssertionError("stamina ends with a result or an exception")

    async def batch(self, method: str, params: Sequence[Sequence[Any]], result: type[T]) -> list[T]:
        """One result for each of `params`, in one request; the first error is raised."""
        if not params:
            return []
        requests = [
            {"jsonrpc": "1.0", "id": number, "method": method, "params": list(each)}
            for number, each in enumerate(params)
        ]
        decoder = msgspec.json.Decoder(list[Reply[result]])  # type: ignore[valid-type]
        async for attempt in self._tries():
            with attempt:
                replies = await self._post(method, requests, decoder)
                ordered = sorted(replies, key=lambda reply: reply.id or 0)
                return [_result(reply, method) for reply in ordered]
        raise AssertionError("stamina ends with a result or an exception")

    def _tries(self) -> Any:
        return tries(self._settings.source_retry_s, wait_initial_s=0.1, wait_max_s=5.0)

    async def _post(self, method: str, request: Any, decoder: msgspec.json.Decoder[Any]) -> Any:
        status, body = await self._ask(request)
        try:
            return decoder.decode(body)
        except msgspec.MsgspecError as error:
            if status != httpx.codes.OK:
                text = body[:200].decode(errors="replace")
                raise of_status(status, text, self.url, self._login_kind()) from None
            raise Terminal(
                f"{self.url} answers {method} not as Bitcoin Core does ({error}); it starts "
                f"with {body[:60]!r}: check SIGSTREAM_CORE_URL, and the node's version"
            ) from None

    async def _ask(self, request: Any) -> tuple[int, bytes]:
        content, login = orjson.dumps(request), self._login()
        try:
            async with self._http.stream("POST", self.url, content=content, auth=login) as response:
                return response.status_code, await read_limited(response, MAX_CORE_BYTES, self.url)
        except httpx.TransportError as error:
            raise unreachable(self.url, error) from None

    def _login(self) -> tuple[str, str]:
        """Read anew for each request: a node writes a new cookie at each start."""
        if self._settings.core_user is not None:
            return self._settings.core_user, self._settings.core_password.get_secret_value()
        path = self._settings.core_cookie_file.expanduser()
        try:
            user, _, password = path.read_text().strip().partition(":")
        except FileNotFoundError:
            raise Transient(
                f"there is no cookie file {path}: start bitcoind, or set SIGSTREAM_CORE_COOKIE_FILE to "
                "where its data directory is, or SIGSTREAM_CORE_USER and SIGSTREAM_CORE_PASSWORD"
            ) from None
        except OSError as error:
            raise ConfigurationError(
                f"the cookie file {path} can't be read ({error.strerror}): run as the node's user, or start "
                "bitcoind with -rpccookieperms=group, or set SIGSTREAM_CORE_USER and SIGSTREAM_CORE_PASSWORD"
            ) from None
        return user, password

    def _login_kind(self) -> str:
        if self._settings.core_user is not None:
            return "SIGSTREAM_CORE_USER and SIGSTREAM_CORE_PASSWORD"
        return f"the cookie of {self._settings.core_cookie_file} (SIGSTREAM_CORE_COOKIE_FILE)"


def _result(reply: Reply[T], method: str) -> T:
    if reply.error is not None:
        raise of_error(reply.error, method)
    if reply.result is None:
        raise Terminal(
            f"the node answers {method} with null: it is no Bitcoin Core; check SIGSTREAM_CORE_URL"
        )
    return reply.result
