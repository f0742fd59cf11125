"""Reading of `signals.raw`: both shapes, canonical keys, exact errors."""

import json
from typing import Any

import pytest

from app.errors import ContractError
from app.model.raw import read_raw

GOOD: dict[str, Any] = {
    "provider": "p",
    "symbol": "SPY",
    "ts": "2026-01-05T15:30:00+01:00",
    "name": "x",
    "value": 1,
}


def flat(**changed: object) -> bytes:
    return json.dumps({k: v for k, v in {**GOOD, **changed}.items() if v is not ...}).encode()


def test_a_flat_signal_is_a_batch_of_one_with_canonical_keys() -> None:
    batch, refused = read_raw(flat(metadata={"a": 1}))
    assert (batch.provider, batch.symbol, batch.ts) == ("p", "SPY", "2026-01-05T14:30:00.000000Z")
    assert [(s.name, s.value, s.metadata_text()) for s in batch.signals] == [("x", 1.0, '{"a": 1}')]
    assert refused == {}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"value": "abc"}, r"Expected `float \| null`, got `str` - at `\$.value`, found \"abc\""),
        ({"symbol": "spy"}, "`symbol` is 'spy', not upper case: send 'SPY'"),
        ({"symbol": "A|B"}, r"`symbol` is 'A\|B'"),
        ({"provider": "é"}, "printable ASCII"),
        ({"ts": "yesterday"}, "`ts` is 'yesterday', not RFC 3339"),
        ({"ts": "2026-01-05T15:30:00"}, "without a time zone"),
        ({"ts": 5}, r"got `int` - at `\$.ts`, found 5"),
        ({"name": ...}, "neither `signals`"),
        ({"provider": ...}, "missing required field `provider`"),
        ({"version": -1}, r"at `\$.version`, found -1"),
        ({"confidence": 1.5}, r"at `\$.confidence`, found 1.5"),
        ({"block_time": "2026-01-05T15:30:00"}, r"at `\$.block_time`"),
    ],
)
def test_the_error_names_the_field_and_what_was_found(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        read_raw(flat(**changed))


@pytest.mark.parametrize("value", [None, b"", b"\xff\xfe", b"[]", b'{"value": NaN}', b"null"])
def test_what_is_no_signal_is_a_contract_error(value: bytes | None) -> None:
    with pytest.raises(ContractError):
        read_raw(value)


def test_upper_case_on_request() -> None:
    assert read_raw(flat(symbol="spy"), uppercase=True)[0].symbol == "SPY"


def test_a_bad_signal_of_a_batch_is_refused_alone() -> None:
    signals = [{"name": "a", "value": 1}, {"name": "b", "value": "x"}, {"value": 1}, 7]
    batch, refused = read_raw(flat(name=..., value=..., signals=signals))
    assert [s.name for s in batch.signals] == ["a"]
    assert set(refused) == {"b", "signals[2]", "signals[3]"}
    assert 'found "x"' in refused["b"]


@pytest.mark.parametrize("field", ["name", "signal_type", "canonical_key", "outcome", "correlation_id"])
def test_a_signal_with_a_nul_in_a_text_is_refused_alone(field: str) -> None:
    bad = {"name": "b", "value": 1, field: "b\0"}
    batch, refused = read_raw(flat(name=..., value=..., signals=[{"name": "a", "value": 1}, bad]))
    assert [s.name for s in batch.signals] == ["a"]
    assert refused == {
        bad["name"]: f"`{field}` holds U+0000, which PostgreSQL can't store: take it out",
    }


def test_an_escaped_backslash_is_not_a_nul() -> None:
    batch, refused = read_raw(flat(name="a\\u0000"))
    assert ([s.name for s in batch.signals], refused) == (["a\\u0000"], {})


def test_more_than_a_thousand_names_are_refused() -> None:
    signals = [{"name": str(i), "value": i} for i in range(1001)]
    with pytest.raises(ContractError, match="at most 1000"):
        read_raw(flat(name=..., value=..., signals=signals))
