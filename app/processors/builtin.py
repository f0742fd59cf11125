"""The processors that come with the product."""

from app.processors.base import Processor
from app.processors.mempool import MempoolProcessor
from app.processors.miner import MinerProcessor
from app.processors.whale import WhaleProcessor


def builtin_processors() -> tuple[Processor, ...]:
    """One of each, in the order of their signals."""
    return (MempoolProcessor(), MinerProcessor(), WhaleProcessor())
