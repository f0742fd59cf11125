"""What the headers of a record of `blocks` say, and what missing ones mean."""

import pytest

from app.streaming.record import Record, chain_of, is_isolated


def record(**headers: bytes) -> Record:
    return Record("blocks", 0, 0, 0, b"key", b"{}", headers)


@pytest.mark.parametrize(
    ("headers", "chain"),
    [({}, "BTC"), ({"chain": b"BTC-SIM"}, "BTC-SIM"), ({"chain": b""}, ""), ({"chain": b"\xff"}, "\ufffd")],
)
def test_a_record_without_a_chain_is_of_btc(headers: dict[str, bytes], chain: str) -> None:
    assert chain_of(record(**headers)) == chain


@pytest.mark.parametrize(
    ("headers", "isolated"),
    [
        ({}, False),
        ({"isolated": b"1"}, True),
        ({"isolated": b"true"}, True),
        ({"isolated": b"0"}, False),
        ({"isolated": b"false"}, False),
        ({"isolated": b""}, False),
    ],
)
def test_isolated_is_what_says_so(headers: dict[str, bytes], isolated: bool) -> None:
    assert is_isolated(record(**headers)) == isolated
