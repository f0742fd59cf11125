"""What a proxy passes on at once: bytes as they come, or whole messages of Kafka's protocol."""

import asyncio
from collections.abc import AsyncIterator

CHUNK_BYTES = 65_536


class Chunk(bytes):
    """Bytes; for Kafka a message with its length in front."""

    @property
    def request_type(self) -> int:
        """API key of a request; 0 is Produce."""
        return int.from_bytes(self[4:6], "big")

    @property
    def correlation_of_request(self) -> int:
        """Behind API key and version."""
        return int.from_bytes(self[8:12], "big")

    @property
    def correlation_of_answer(self) -> int:
        """At the beginning."""
        return int.from_bytes(self[4:8], "big")


async def chunks(reader: asyncio.StreamReader) -> AsyncIterator[Chunk]:
    """As they come, to the end."""
    while found := await reader.read(CHUNK_BYTES):
        yield Chunk(found)


async def frames(reader: asyncio.StreamReader) -> AsyncIterator[Chunk]:
    """Messages. Raises IncompleteReadError at the end."""
    while True:
        length = await reader.readexactly(4)
        yield Chunk(length + await reader.readexactly(int.from_bytes(length, "big")))
