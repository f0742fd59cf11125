"""What a feed asks of a server that knows the chain: a Bitcoin Core node, an Esplora server."""

from typing import NamedTuple, Protocol

from app.model.block import BlockHeader
from app.sources.trim import TrimmedBlock


class Tip(NamedTuple):
    """The last block of a chain."""

    height: int
    hash: str


class Node(Protocol):
    """All raise Transient for what waiting may heal (after trying again themselves), Terminal otherwise."""

    async def check(self, first: int | None, last: int | None) -> None:
        """Refuse at once a range that this server can't give; `last` None: up to the tip and on."""

    async def tip(self) -> Tip:
        """The end of the best chain now."""

    async def hashes(self, first: int, last: int) -> list[str]:
        """Hashes of the best chain from height `first` to `last`, both included."""

    async def header(self, block_hash: str) -> BlockHeader:
        """A block's header, of a stale branch too where the server still has it."""

    async def block(self, block_hash: str) -> TrimmedBlock:
        """A block."""
