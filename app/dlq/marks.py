"""What was done about a dead letter: records of the compacted topic `dead-letters.handled`."""

from enum import StrEnum
from typing import NamedTuple

import msgspec

from app.errors import ContractError
from app.model.signal import Time
from app.streaming.record import MAX_DIGITS

TOPIC = "dead-letters.handled"


class State(StrEnum):
    """Of a letter; one without a mark is open."""

    OPEN = "open"
    REPLAYED = "replayed"
    DROPPED = "dropped"


class Place(NamedTuple):
    """Where a letter is on `dead-letters`: its name."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}/{self.offset}"


class Mark(msgspec.Struct, frozen=True):
    """What was done last, and when; `attempts` counts how often the letter's content was replayed."""

    state: State
    time: Time
    attempts: int


ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Mark)


def parse_place(text: str) -> Place:
    """`PARTITION/OFFSET`. Raises ContractError."""
    partition, _, offset = text.partition("/")
    if all(part.isascii() and part.isdigit() and len(part) <= MAX_DIGITS for part in (partition, offset)):
        return Place(int(partition), int(offset))
    raise ContractError(
        f"{text!r} names no dead letter: write PARTITION/OFFSET as `sigstream dlq list` does, like 2/17"
    )


def read_mark(key: bytes | None, value: bytes | None) -> tuple[Place, Mark] | None:
    """A record of the topic; None for what is no mark, which leaves the letter open."""
    try:
        return parse_place((key or b"").decode()), _DECODER.decode(value or b"")
    except (ContractError, UnicodeDecodeError, msgspec.DecodeError):
        return None
