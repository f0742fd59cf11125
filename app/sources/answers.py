"""Answers of HTTP servers, read no further than they may be long."""

import httpx

from app.errors import Terminal

MAX_CORE_BYTES = 256_000_000
"""A block's JSON with witness and hex has some 20 MB; a whole mempool with 300,000 transactions, 200 MB."""
MAX_ESPLORA_BYTES = 32_000_000
"""A page has 25 transactions, of which a block holds 4 MB at most; in JSON, with hex, several times that."""


async def read_limited(response: httpx.Response, most: int, where: str) -> bytes:
    """The body, unpacked. Raises Terminal as soon as it is longer than `most` bytes; `where` names it."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > most:
            raise Terminal(f"{where} answers with more than {most:,} bytes: is it the right server?")
    return bytes(body)
