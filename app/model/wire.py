"""Decoding of records: exact errors, which field and what was found there."""

import re
from typing import Any, TypeVar

import msgspec
import orjson

from app.errors import ContractError

T = TypeVar("T")

_PATH = re.compile(r" - at `(?:key in )?\$(.*)`$")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


def decode(decoder: msgspec.json.Decoder[T], value: bytes | None, what: str) -> T:
    """`value` as the decoder's type. Raises ContractError that names the field and its content.

    `what` names the contract in the message: "block", "signal batch".
    """
    if value is None:
        raise ContractError(f"{what}: the record has no value (a tombstone); send JSON")
    try:
        return decoder.decode(value)
    except msgspec.ValidationError as error:
        raise ContractError(f"{what}: {_explain(str(error), value)}") from None
    except RecursionError:
        raise ContractError(f"{what}: nested too deeply to be read; send what its contract has") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ContractError(f"{what}: not JSON ({error}); the value starts with {value[:40]!r}") from None


def _explain(message: str, value: bytes) -> str:
    """msgspec's message, with the content that was found at its path."""
    match = _PATH.search(message)
    if match is None:
        return message
    try:
        found = _short(_walk(orjson.loads(value), match[1]))
    except (ValueError, LookupError, TypeError):  # deep nesting is a TypeError of orjson's
        return message
    return f"{message}, found {found}"


def _walk(document: Any, path: str) -> Any:
    for name, index in _STEP.findall(path):
        document = document[name] if name else document[int(index)]
    return document


def _short(found: object) -> str:
    text = orjson.dumps(found).decode()
    return text if len(text) <= 80 else text[:77] + "..."
