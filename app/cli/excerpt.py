"""Bytes that anybody may have written, as text that a terminal can show."""

from typing import NamedTuple

import orjson

MAX_CHARS = 4_000
MAX_JSON_BYTES = 1_000_000
"""A larger value is shown as it is: indented, its begin says no more."""


class Excerpt(NamedTuple):
    """The begin of a value; `kind` is json, text, bytes or none."""

    kind: str
    text: str
    cut: bool


def excerpt(value: bytes | None, most: int = MAX_CHARS) -> Excerpt:
    """JSON indented, other text as it is, anything else with its bytes escaped."""
    if value is None:
        return Excerpt("none", "", False)
    kind, text = _indented(value) or _plain(value, most)
    return Excerpt(kind, visible(text)[:most], len(text) > most or (kind != "json" and len(value) > most))


def _indented(value: bytes) -> tuple[str, str] | None:
    if len(value) > MAX_JSON_BYTES:
        return None
    try:
        return "json", orjson.dumps(orjson.loads(value), option=orjson.OPT_INDENT_2).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None


def _plain(value: bytes, most: int) -> tuple[str, str]:
    begin = value[:most]
    try:
        return "text", begin.decode()
    except UnicodeDecodeError as error:
        if len(value) > most and error.start > most - 4:  # a character that is cut
            return "text", begin[: error.start].decode()
    return "bytes", repr(begin)[2:-1]


def visible(text: str) -> str:
    """Control characters escaped: they could make a terminal do anything."""
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)


def first_line(text: str) -> str:
    """Of a reason; of a traceback the last, which says what was raised."""
    lines = [line for line in text.splitlines() if line.strip()] or [""]
    return lines[-1 if lines[0].startswith("Traceback") else 0].strip()
