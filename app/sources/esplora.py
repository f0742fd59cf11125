"""An Esplora server (blockstream/electrs and what speaks like it) as the source of blocks."""

import asyncio
import re
from types import TracebackType
from typing import Self, TypeVar

import httpx
import msgspec

from app.config import Settings
from app.errors import NodeRefused, Terminal, Transient
from app.model.block import BlockHeader
from app.model.wire import decode
from app.sources.address import checked_url
from app.sources.answers import MAX_ESPLORA_BYTES, read_limited
from app.sources.core_errors import HTTP_NOT_FOUND, too_high
from app.sources.esplora_block import EsploraBlock, EsploraTx, block_of
from app.sources.node import Tip
from app.sources.pace import Pace
from app.sources.patience import tries
from app.sources.trim import TrimmedBlock

T = TypeVar("T")

TXS_A_PAGE = 25
"""Esplora's own, not to be asked for otherwise."""
REQUESTS_IN_FLIGHT = 4
TOO_MANY_REQUESTS = 429
HEIGHT = re.compile("[0-9]{1,10}")
HASH = re.compile("[0-9a-f]{64}")

_BLOCK = msgspec.json.Decoder(EsploraBlock)
_TXS = msgspec.json.Decoder(list[EsploraTx])


class Esplora:
    """A `Node`; `async with` it. `pace` limits requests, of which a block of 3,000 transactions takes 122.

    Raises Transient once a failure that may pass (no connection, 429, 5xx) has lasted `source_retry_s`,
    NodeRefused for what is not there, Terminal for everything else.
    """

    def __init__(self, settings: Settings, url: str, pace: Pace) -> None:
        self.url = checked_url("--url", url, write="https://host/api")
        self._retry_s = settings.source_retry_s
        self._pace = pace
        self._slots = asyncio.Semaphore(REQUESTS_IN_FLIGHT)
        self._http = httpx.AsyncClient(timeout=httpx.Timeout(30.0, connect=5.0), follow_redirects=True)

    async def __aenter__(self) -> Self:
        """Nothing is asked yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def check(self, first: int | None, last: int | None) -> None:
        """Refuse a range that ends above the tip. Raises Terminal."""
        tip = await self.tip()
        if last is not None and last > tip.height:
            raise too_high(last, tip.height)

    async def tip(self) -> Tip:
        """The end of the best chain now."""
        height = int(await self._text("/blocks/tip/height", HEIGHT, "block height"))
        return Tip(height, await self._hash(height))

    async def hashes(self, first: int, last: int) -> list[str]:
        """Hashes of the best chain."""
        return await asyncio.gather(*(self._hash(height) for height in range(first, last + 1)))

    async def header(self, block_hash: str) -> BlockHeader:
        """A block's header."""
        block = decode(_BLOCK, await self._get(f"/block/{block_hash}"), "Esplora's /block")
        return BlockHeader(block.id, block.height, block.previousblockhash)

    async def block(self, block_hash: str) -> TrimmedBlock:
        """A block with all its transactions, 25 a request."""
        block = decode(_BLOCK, await self._get(f"/block/{block_hash}"), "Esplora's /block")
        starts = range(0, block.tx_count, TXS_A_PAGE)
        pages = await asyncio.gather(*(self._page(block_hash, start) for start in starts))
        return block_of(block, [tx for page in pages for tx in page])

    async def _page(self, block_hash: str, start: int) -> list[EsploraTx]:
        body = await self._get(f"/block/{block_hash}/txs/{start}")
        return decode(_TXS, body, f"Esplora's /block/{block_hash}/txs/{start}")

    async def _hash(self, height: int) -> str:
        return await self._text(f"/block-height/{height}", HASH, "block hash")

    async def _text(self, path: str, pattern: re.Pattern[str], what: str) -> str:
        """Without /api in its address, a server may answer 200 with a page for people."""
        text = (await self._get(path)).decode(errors="replace").strip()
        if pattern.fullmatch(text) is None:
            raise Terminal(
                f"{self.url} answers {path} with {text[:40]!r}, which is no {what}: check --url, its path "
                "ends with /api on public servers"
            )
        return text

    async def _get(self, path: str) -> bytes:
        async for attempt in tries(self._retry_s, wait_initial_s=0.2, wait_max_s=10.0):
            with attempt:
                async with self._slots:
                    await self._pace.turn()
                    return await self._once(path)
        raise AssertionError("stamina ends with a result or an exception")

    async def _once(self, path: str) -> bytes:
        try:
            async with self._http.stream("GET", self.url + path) as response:
                content = await read_limited(response, MAX_ESPLORA_BYTES, f"{self.url}{path}")
        except httpx.TransportError as error:
            raise Transient(
                f"no Esplora server answers at {self.url} ({type(error).__name__}: {error}): check --url"
            ) from None
        status, body = response.status_code, content[:80].decode(errors="replace").strip()
        if status == httpx.codes.OK:
            return content
        if status == TOO_MANY_REQUESTS:
            raise Transient(f"{self.url} limits requests (429: {body}): lower --rate, or ask an own server")
        if status >= 500:
            raise Transient(f"{self.url} fails with HTTP {status} ({body}): try again later")
        if status == HTTP_NOT_FOUND:
            raise NodeRefused(
                f"{self.url} has no {path} (404: {body}): check --url (its path ends with /api on public "
                "servers) and the height",
                status,
            )
        raise Terminal(f"{self.url} refuses {path} with HTTP {status} ({body}): check --url")
