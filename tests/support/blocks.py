"""Blocks as records of `blocks`."""

from app.model.block import HEADER_DECODER
from app.sources.ingest import BlockRecord
from app.sources.simulator import CHAIN

Message = tuple[bytes, bytes, None, list[tuple[str, bytes]]]
"""Key, value, partition (the producer's choice), headers: what a Probe sends."""


def record_of(value: bytes, chain: str = CHAIN) -> BlockRecord:
    """Of a block's JSON, whose transactions are not looked at."""
    header = HEADER_DECODER.decode(value)
    return BlockRecord(chain, header.hash, header.height, header.previousblockhash, False, value)


def message(value: bytes) -> Message:
    """A block of the simulated chain, with a correlation id by its height."""
    record = record_of(value)
    return record.hash.encode(), value, None, record.headers(f"c{record.height}")
