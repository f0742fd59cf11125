"""Requests for missing blocks: `block-requests` in, blocks out."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from app.config import Settings
from app.errors import ContractError, DeliveryFailed, SigstreamError, Transient
from app.model.block_request import BLOCK_REQUEST_DECODER, BlockRequest
from app.model.wire import decode
from app.sources.feed import Feed

log = structlog.get_logger()


async def answer_requests(settings: Settings, feed: Feed) -> None:
    """Answer requests for the feed's chain for ever, from those made from now on.

    One that can't be answered is logged: whoever misses the blocks asks again, or gives them up. Raises
    Transient without Kafka, DeliveryFailed when it does not take a block.
    """
    async with aclosing(requests(settings, feed.outlet.chain)) as wanted:
        async for request in wanted:
            try:
                count = await answer(feed, request)
                log.info("block request answered", chain=request.chain, first=request.first, blocks=count)
            except DeliveryFailed:
                raise
            except SigstreamError as error:
                log.warning(
                    "block request not answered",
                    chain=request.chain,
                    first=request.first,
                    last=request.last,
                    reason=str(error),
                )


async def answer(feed: Feed, request: BlockRequest) -> int:
    """Send the blocks; how many. What the feed remembers stays as it is."""
    hashes = await _hashes(feed, request)
    async with aclosing(feed.blocks(hashes)) as blocks:
        async for block in blocks:
            await feed.outlet.send(block)
    return len(hashes)


async def _hashes(feed: Feed, request: BlockRequest) -> list[str]:
    """By height on the best chain, or the ancestors of the block that is named."""
    if request.hash is None:
        return await feed.node.hashes(request.first, request.last)
    found: list[str] = []
    parent: str | None = request.hash
    for height in range(request.last, request.first - 1, -1):
        if parent is None:
            raise ContractError(f"the branch of {request.hash} has no block at height {height}")
        header = await feed.node.header(parent)
        if header.height != height:
            raise ContractError(f"block {parent} has height {header.height}, the request says {height}")
        found.append(header.hash)
        parent = header.previousblockhash
    return found[::-1]


async def requests(settings: Settings, chain: str) -> AsyncGenerator[BlockRequest, None]:
    """Requests for the chain as they come; what is none is logged. Raises Transient."""
    tp = TopicPartition(settings.topic("block-requests"), 0)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.need_kafka(), client_id="sigstream-requests", enable_auto_commit=False
    )
    try:
        await consumer.start()
        consumer.assign([tp])
        await consumer.seek_to_end(tp)
        async for record in consumer:
            request = _read(record.value, record.offset)
            if request is not None and request.chain == chain:
                yield request
    except KafkaError as error:
        raise Transient(f"block requests can't be read from Kafka: {error!r}") from error
    finally:
        await consumer.stop()


def _read(value: bytes | None, offset: int) -> BlockRequest | None:
    try:
        return decode(BLOCK_REQUEST_DECODER, value, "block request")
    except ContractError as error:
        log.warning("not a block request", offset=offset, reason=str(error))
        return None
