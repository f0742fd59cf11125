"""Messages as nobody should send them: valid ones, spoiled; always the same ones by a seed."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

from app.streaming.record import CORRELATION_ID

Path = tuple[str | int, ...]
BEGIN, END = "@@raw:", ":end@@"
"""Around a text that stands for JSON of its own, written without quotes."""


class Spoiled(NamedTuple):
    """One message, and what was done to it."""

    how: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


def raw(text: str) -> str:
    """A value that no encoder writes."""
    return f"{BEGIN}{text}{END}"


ODD_VALUES: dict[str, Sequence[Any]] = {
    "wrong type": [None, True, [], {}, "", "text", 0, -1, 1.5, [[]], {"a": 1}, "1", [None]],
    "huge number": [raw("1" + "0" * 400), raw("-1e999"), 2**63, 2**64, -(2**63) - 1, raw("9" * 5000), 1e308],
    "not a number": [raw("NaN"), raw("Infinity"), raw("-Infinity"), "NaN", "Infinity", raw("nan")],
    "deep": [raw("[" * 500 + "]" * 500), raw('{"a":' * 3000 + "1" + "}" * 3000), raw("[" * 100_000)],
    "U+0000": ["\0", "a\0b", {"a\0": "b"}, raw(r'"\u0000"')],
    "lone surrogate": [raw(r'"\ud800"'), raw(r'"a\udfffb"'), raw(r'{"\ud800": 1}')],
    "height": [-1, 0, 2**31, 2**53, 2**62, 10**15, -(10**18)],
    "time": [
        *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+23:59", "2024-02-30"),
        *("9999-12-31T23:59:59-23:59", "2024-01-01T00:00:00", -1, 2**40, "1e9", -(2**62), "2024-W01-1"),
    ],
    "text": [
        "btc",
        "BTC|X",
        " BTC",
        "Ünï",
        "x" * 300,
        "x" * 100_000,
        "\u202e",
        "a\nb",
        "\x1b[31m",
        "🦀",
        "a\tb",
    ],
    "metadata": [{"x": "y" * 70_000}, {"n": raw("1e400")}, {"k" * 1000: [None] * 1000}, raw('{"a":1,"a":2}')],
}
ODD_KEYS = [None, b"", b"\xff\xfe", b"k" * 100_000, b"a|b|c|d", b"\0", b"sigstream|BTC|2024"]
ODD_HEADERS: list[tuple[str, bytes | None]] = [
    *((name, value)
      for name in ("chain", "isolated", "height", "tick", "rekeyed", "replayed-from")
      for value in (b"", b"\xff", b"1", b"-1", b"9" * 5000, b"1/2/3", b"1/2", b"A|X", b"\0", None)),
    *((name, value)
      for name in ("origin-offset", "required-sinks", "replay-attempts", "produced-at")
      for value in (b"", b"\xff", b"-1", b"9" * 5000, b"1.5", b"1e3", "٣".encode(), b"x" * 70_000, None)),
    *((CORRELATION_ID, value) for value in (b"", b"\xff\xfe", b"i" * 10_000, b"\0", None)),
    *(("x" * 1000, b"y"), ("", b""), ("ünï", b"\x80"), ("original-chain", b"A"), ("stage", b"B")),
]  # fmt: skip


def spoil(
    seed: int, count: int, valid: Callable[[random.Random, int], tuple[bytes, Any, list[Any]]]
) -> Iterator[Spoiled]:
    """`count` messages out of `valid`: key, document and headers by a number."""
    rng = random.Random(seed)
    for number in range(count):
        key, document, headers = valid(rng, number)
        yield _spoil(rng, key, document, [*headers])


def _spoil(rng: random.Random, key: bytes, document: Any, headers: list[Any]) -> Spoiled:
    kind = rng.choice(
        ["field"] * 9 + ["fields", "drop", "case", "twice", "bytes", "bytes", "key", "header", "header"]
    )
    how, value = _SPOILERS.get(kind, _as_it_is)(rng, document)
    spoiled_key: bytes | None = key
    if kind == "key":
        spoiled_key = rng.choice(ODD_KEYS)
    if kind == "header":
        headers.append(rng.choice(ODD_HEADERS))
    return Spoiled(kind if how == "" else how, spoiled_key, value, headers)


def _as_it_is(_rng: random.Random, document: Any) -> tuple[str, bytes | None]:
    return "", write(document)


def _field(rng: random.Random, document: Any) -> tuple[str, bytes | None]:
    how = rng.choice(list(ODD_VALUES))
    return how, write(_put(document, rng.choice(list(_paths(document))), rng.choice(ODD_VALUES[how])))


def _fields(rng: random.Random, document: Any) -> tuple[str, bytes | None]:
    for _ in range(3):
        how = rng.choice(list(ODD_VALUES))
        document = _put(document, rng.choice(list(_paths(document))), rng.choice(ODD_VALUES[how]))
    return "several", write(document)


def _drop(rng: random.Random, document: Any) -> tuple[str, bytes | None]:
    path = rng.choice(list(_paths(document)))
    copy = deepcopy(document)
    del _at(copy, path[:-1])[path[-1]]
    return "dropped", write(copy)


def _case(rng: random.Random, document: Any) -> tuple[str, bytes | None]:
    text = write(document)
    return "case", rng.choice([text.upper(), text.lower(), text.swapcase()])


def _twice(rng: random.Random, document: Any) -> tuple[str, bytes | None]:
    """A field twice in one object."""
    name = rng.choice(list(document))
    return "field twice", write(document)[:-1] + b',"%s":%s}' % (
        name.encode(),
        rng.choice([b"null", b"1", b'"x"', write(document[name])]),
    )


def _bytes(rng: random.Random, document: Any) -> tuple[str, bytes | None]:
    text = write(document)
    at = rng.randrange(len(text))
    made: dict[str, bytes | None] = {
        "truncated": text[:at],
        "not UTF-8": text[:at] + rng.choice([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x80"]) + text[at:],
        "flipped": text[:at] + bytes([text[at] ^ 1 << rng.randrange(8)]) + text[at + 1 :],
        "random": rng.randbytes(rng.choice([1, 30, 3000])),
        "empty": b"",
        "tombstone": None,
        "more behind": text + rng.choice([b"}", b"\0", text, b" x"]),
        "UTF-16": text.decode().encode("utf-16"),
        "marked": b"\xef\xbb\xbf" + text,
        "array": b"[" + text + b"]",
        "many": rng.choice([b"[]", b"{}", b'""', b"0", b"null", b" " * 1000]),
    }
    how = rng.choice(list(made))
    return how, made[how]


_SPOILERS: dict[str, Callable[[random.Random, Any], tuple[str, bytes | None]]] = {
    "field": _field, "fields": _fields, "drop": _drop, "case": _case, "twice": _twice, "bytes": _bytes,
}  # fmt: skip


def write(document: Any) -> bytes:
    """As JSON, with what `raw` marks."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    parts = text.split(f'"{BEGIN}'.encode())
    out = [parts[0]]
    for part in parts[1:]:
        inside, _, rest = part.partition(f'{END}"'.encode())
        out += [json.loads(b'"' + inside + b'"').encode(), rest]
    return b"".join(out)


def _paths(document: Any, at: Path = ()) -> Iterator[Path]:
    """Of everything within."""
    inside = document.items() if isinstance(document, dict) else enumerate(document)
    for name, value in inside:
        yield (*at, name)
        if isinstance(value, dict | list):
            yield from _paths(value, (*at, name))


def _at(document: Any, path: Path) -> Any:
    for name in path:
        document = document[name]
    return document


def _put(document: Any, path: Path, value: Any) -> Any:
    copy = deepcopy(document)
    _at(copy, path[:-1])[path[-1]] = value
    return copy
