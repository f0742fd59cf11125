"""Requests for missing blocks: `block-requests` in, blocks out."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from app.config import Settings
from app.errors import ContractError, DeliveryFailed, SigstreamError, Transient
from app.kafka_client import client_options
from app.model.block_request import BLOCK_REQUEST_DECODER, BlockRequest
from app.model.wire import decode
from app.sources.feed import Feed

log = structlog.get_logger()


@asynccontextmanager
async def hear_requests(settings: Settings) -> AsyncGenerator[AIOKafkaConsumer, None]:
    """A consumer of all requests made from now on, without a group. Raises Transient without Kafka."""
    tp = TopicPartition(settings.topic("block-requests"), 0)
    consumer = AIOKafkaConsumer(
        **client_options(settings), client_id="sigstream-requests", enable_auto_commit=False
    )
    try:
        await consumer.start()
        consumer.assign([tp])
        consumer.seek(tp, (await consumer.end_offsets([tp]))[tp])
        yield consumer
    except KafkaError as error:
        raise Transient(f"block requests can't be read from Kafka: {error!r}") from error
    finally:
        await consumer.stop()


async def answer_requests(consumer: AIOKafkaConsumer, feed: Feed) -> None:
    """Answer requests for the feed's chain for ever.

    One that can't be answered is logged: whoever misses the blocks asks again, or gives them up. Raises
    DeliveryFailed when Kafka does not take a block, Transient when it gives no requests.
    """
    try:
        async for record in consumer:
            request = _read(record.value, record.offset)
            if request is not None and request.chain == feed.outlet.chain:
                await _try_to_answer(feed, request)
    except KafkaError as error:
        raise Transient(f"block requests can't be read from Kafka: {error!r}") from error


async def _try_to_answer(feed: Feed, request: BlockRequest) -> None:
    found = log.bind(chain=request.chain, first=request.first, last=request.last)
    try:
        found.info("block request answered", blocks=await answer(feed, request))
    except DeliveryFailed:
        raise
    except SigstreamError as error:
        found.warning("block request not answered", reason=str(error))


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


def _read(value: bytes | None, offset: int) -> BlockRequest | None:
    try:
        return decode(BLOCK_REQUEST_DECODER, value, "block request")
    except ContractError as error:
        log.warning("not a block request", offset=offset, reason=str(error))
        return None
