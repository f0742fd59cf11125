"""Which blocks are the chain, by what the worker of the `blocks` stage remembers (its table's changelog)."""

from dataclasses import dataclass, field

import msgspec
from aiokafka import TopicPartition

from app.chain.tracker import REACH
from app.config import Settings
from app.query.kafka import Reader
from app.streaming.topics import changelog


class _Past(msgspec.Struct):
    """What is needed of `Past`."""

    height: int
    hash: str


_DECODER = msgspec.json.Decoder(_Past)


@dataclass(slots=True)
class LiveChain:
    """Hash by height of the blocks that were computed as the chain: a year of them."""

    hashes: dict[int, str] = field(default_factory=dict)

    @property
    def known(self) -> bool:
        """Whether a worker has computed anything of this chain."""
        return bool(self.hashes)

    def is_chain(self, height: int, hash_: str) -> bool:
        """Whether a block is the chain's, for certain."""
        return self.hashes.get(height) == hash_

    def has_left(self, height: int, hash_: str) -> bool:
        """Whether another block is the chain's in its place."""
        return self.hashes.get(height, hash_) != hash_

    def is_out_of_reach(self, height: int) -> bool:
        """Whether the worker can't put a block of a height that it does not know any more."""
        return height not in self.hashes and height <= max(self.hashes) - REACH


async def live_chain(settings: Settings, reader: Reader, chain: str) -> LiveChain:
    """As of now; empty where no worker ever ran. Raises Transient."""
    topic = changelog(settings, "blocks", "chains", 1).name
    found = LiveChain()
    prefix = f"{chain}|past|".encode()
    for tp, (begin, end) in (await reader.bounds(await reader.partitions(topic))).items():
        await _follow(reader, tp, begin, end, prefix, found.hashes)
    return found


async def _follow(
    reader: Reader, tp: TopicPartition, begin: int, end: int, prefix: bytes, hashes: dict[int, str]
) -> None:
    async for record in reader.read(tp, begin, end):
        if record.key is None or not record.key.startswith(prefix):
            continue
        if record.value is None:
            hashes.pop(int(record.key[len(prefix) :]), None)
        else:
            past = _DECODER.decode(record.value)
            hashes[past.height] = past.hash
