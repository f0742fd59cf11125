"""Mining pools as mempool.space lists them: `pools-v2.json`, a list of
`{"id", "name", "addresses", "tags", "link"}` (github.com/mempool/mining-pools)."""

from collections.abc import Iterator
from importlib.resources.abc import Traversable
from pathlib import Path

import msgspec

from app.errors import ConfigurationError
from app.labels.owners import Claim, Kind, checked_address, checked_owner

SOURCE = "mempool.space pools"
ADDRESS_CONFIDENCE = 1.0
"""The pool's own coinbases pay there."""
TAG_CONFIDENCE = 0.9
"""Anybody can write a tag."""


class PoolEntry(msgspec.Struct):
    """One pool; other fields (`id`, `link`) are ignored. `source` is ours."""

    name: str
    addresses: list[str] = []
    tags: list[str] = []
    source: str = SOURCE


DECODER = msgspec.json.Decoder(list[PoolEntry])


def read_pools(path: Path | Traversable) -> Iterator[Claim]:
    """Payout addresses and coinbase tags of every pool. Raises ConfigurationError with the entry that is
    wrong."""
    for number, pool in enumerate(_decode(path), 1):
        where = f"{path} entry {number} ({pool.name})"
        if not all(pool.tags):
            raise ConfigurationError(f"{where}: a tag is empty, and every block has that: leave it out")
        paid = checked_owner(pool.name, Kind.MINER, pool.source, ADDRESS_CONFIDENCE, where)
        tagged = paid._replace(confidence=TAG_CONFIDENCE)
        yield from ((checked_address(address, where), paid) for address in pool.addresses)
        yield from ((tag.encode(), tagged) for tag in pool.tags)


def _decode(path: Path | Traversable) -> list[PoolEntry]:
    try:
        return DECODER.decode(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror or error}") from error
    except msgspec.DecodeError as error:
        raise ConfigurationError(
            f"{path} is no list of pools: {error}; write what mempool.space's pools-v2.json has: "
            '[{"name": ..., "addresses": [...], "tags": [...]}]'
        ) from None
