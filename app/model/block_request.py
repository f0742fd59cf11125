"""A record of `block-requests`: heights of a chain that somebody misses; sources answer on `blocks`."""

from typing import Annotated

import msgspec

from app.model.block import Hash, Height

MAX_REQUESTED = 2016
"""Most blocks that one request may ask for: two weeks of the main chain."""


class BlockRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Heights `first` to `last` (both included) are missing; the record's key is `chain`.

    `hash` is that of block `last`, where it is known: it says which branch is meant.
    """

    chain: Annotated[str, msgspec.Meta(min_length=1)]
    first: Height
    last: Height
    hash: Hash | None = None

    def __post_init__(self) -> None:
        """Raises ValueError, which decoding turns into its own error, for a range that can't be."""
        if not 0 <= self.last - self.first < MAX_REQUESTED:
            raise ValueError(
                f"`first` {self.first}, `last` {self.last}: not 1 to {MAX_REQUESTED} blocks: ask for less"
            )


BLOCK_REQUEST_DECODER = msgspec.json.Decoder(BlockRequest)
