"""What of a value is shown, and in which form."""

import pytest

from app.cli.excerpt import MAX_JSON_BYTES, excerpt, first_line


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ("none", "", False)),
        (b"", ("text", "", False)),
        (b'{"a":1}', ("json", '{\n  "a": 1\n}', False)),
        (b"not json", ("text", "not json", False)),
        (b"\xff\x00a", ("bytes", r"\xff\x00a", False)),
        (b"\x1b[2J", ("text", r"\x1b[2J", False)),
        (b"a" * 30, ("text", "a" * 20, True)),
        (b"a" * 19 + "é".encode(), ("text", "a" * 19, True)),
        (b"[" + b"1," * 30 + b"1]", ("json", "[\n" + "  1,\n" * 3 + "  1", True)),
        (b"\xff" * 30, ("bytes", r"\xff" * 5, True)),
    ],
)
def test_a_value_is_shown_as_what_it_is(value: bytes | None, expected: tuple[str, str, bool]) -> None:
    found = excerpt(value, 20)
    assert len(found.text) <= 20
    assert found == expected


def test_large_json_is_not_indented() -> None:
    found = excerpt(b"[" + b"1," * MAX_JSON_BYTES + b"1]")
    assert (found.kind, found.text[:5], found.cut) == ("text", "[1,1,", True)


def test_the_line_of_a_reason_that_says_most() -> None:
    assert first_line("block: not JSON\nmore") == "block: not JSON"
    assert first_line("Traceback (most recent call last):\n  File x\nValueError: no\n") == "ValueError: no"
    assert first_line("") == ""
