"""A Bitcoin Core node as the source of blocks."""

import msgspec

from app.errors import NodeRefused, Terminal
from app.model.block import BlockHeader
from app.sources import core_errors
from app.sources.core_rpc import CoreRpc
from app.sources.node import Tip
from app.sources.trim import TrimmedBlock


class ChainInfo(msgspec.Struct):
    """Of `getblockchaininfo`."""

    blocks: int
    headers: int
    bestblockhash: str
    initialblockdownload: bool = False
    pruned: bool = False
    pruneheight: int | None = None


class CoreNode:
    """A `Node`: blocks are trimmed while they are read."""

    def __init__(self, rpc: CoreRpc) -> None:
        self.rpc = rpc

    async def info(self) -> ChainInfo:
        """The state of the node's chain."""
        return await self.rpc.call("getblockchaininfo", result=ChainInfo)

    async def check(self, first: int | None, last: int | None) -> None:
        """Refuse at once what can't work; `last` None: up to the tip. Raises Terminal or Transient."""
        info = await self.info()
        beyond = last is None or last > info.blocks
        if info.initialblockdownload and beyond:
            wanted = "the tip" if last is None else f"block {last}"
            raise core_errors.syncing(info.blocks, info.headers, wanted)
        if first is not None and info.pruned and first < (info.pruneheight or 0):
            raise core_errors.pruned(first, info.pruneheight)
        if last is not None and beyond:
            raise core_errors.too_high(last, info.blocks)

    async def tip(self) -> Tip:
        """The end of the best chain now."""
        info = await self.info()
        return Tip(info.blocks, info.bestblockhash)

    async def hashes(self, first: int, last: int) -> list[str]:
        """Hashes of the best chain, in one request."""
        return await self.rpc.batch("getblockhash", [[height] for height in range(first, last + 1)], str)

    async def header(self, block_hash: str) -> BlockHeader:
        """A block's header."""
        return await self.rpc.call("getblockheader", block_hash, True, result=BlockHeader)

    async def block(self, block_hash: str) -> TrimmedBlock:
        """A block. Raises Terminal where it is pruned, or without prevouts on the best chain."""
        try:
            block = await self.rpc.call("getblock", block_hash, 3, result=TrimmedBlock)
        except NodeRefused as error:
            if error.code == core_errors.MISC_ERROR:
                raise await self._gone(block_hash, error) from error
            raise
        stale = block.confirmations == -1  # its undo data may be missing: such a block goes as it is
        if not stale and not block.has_prevouts():
            raise core_errors.no_prevouts(block.height)
        return block

    async def _gone(self, block_hash: str, error: NodeRefused) -> Terminal:
        """Why the block is not on disk: a pruned node says so by its state, not by the code."""
        info = await self.info()
        if not info.pruned:
            return error
        height = (await self.header(block_hash)).height
        return core_errors.pruned(height, info.pruneheight)
