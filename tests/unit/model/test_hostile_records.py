"""What fuzzing found: records that stopped a worker, or were refused with a traceback."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from app.dedupe import digest_of
from app.errors import ContractError
from app.model.features_record import read_chain, read_features
from app.model.keys import canonical_ts
from app.model.mempool import MEMPOOL_DECODER
from app.model.raw import read_raw
from app.model.receipt import RECEIPT_DECODER, Origin, Receipt
from app.model.signal import BATCH_DECODER, ENCODER
from app.model.wire import decode
from app.pipeline.snapshots import snapshot_batch
from app.sinks.incoming import read_forwarded
from app.streaming.record import CORRELATION_ID, Record
from tests.support.fuzz_seeds import batch, features_of, snapshot

DEEP = b"[" * 100_000
Change = Callable[[dict[str, Any]], None]


@pytest.mark.parametrize("value", [DEEP, b'{"a":' * 100_000, b'{"provider":' + DEEP])
def test_deep_nesting_is_a_reason_and_no_recursion(value: bytes) -> None:
    with pytest.raises(ContractError, match=r"nested too deeply|not JSON|Expected"):
        decode(BATCH_DECODER, value, "signal batch")
    with pytest.raises(ContractError):
        read_raw(value)


def test_what_was_found_is_left_out_where_it_can_not_be_shown() -> None:
    value = b'{"provider": ' + b"[" * 500 + b"]" * 500 + b"}"
    with pytest.raises(ContractError, match="Expected `str`, got `array`"):
        decode(BATCH_DECODER, value, "signal batch")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hash", ""), ("hash", "x"), ("previousblockhash", ""), ("height", -1), ("height", 2**62),
        ("time", 2**40), ("time", -1), ("weight", 0), ("total_fee_sat", -1), ("aged_sat", 2**63),
        ("chain", "btc"), ("chain", "A|B"), ("chain", ""), ("labels", 1),
    ],
)  # fmt: skip
def test_features_that_are_of_no_block(field: str, value: object) -> None:
    good = features_of("BTC", 3)
    assert read_features(good).height == 4
    bad = msgspec.json.decode(good) | {field: value}
    with pytest.raises(ContractError, match=field if field != "chain" else "symbol"):
        read_features(msgspec.json.encode(bad))


@pytest.mark.parametrize(
    ("field", "value"),
    [("tx_count", -1), ("vsize", 2**64), ("total_fee_sat", 2**63), ("histogram", [[1.0, 2**64, 1]])],
)
def test_snapshots_with_what_can_not_be(field: str, value: object) -> None:
    bad = msgspec.json.decode(snapshot("BTC", 1)) | {field: value}
    with pytest.raises(ContractError, match=field):
        decode(MEMPOOL_DECODER, json.dumps(bad).encode(), "mempool snapshot")


NEVER = [
    pytest.param("0001-01-01T00:00:00+23:59", id="before the first year"),
    pytest.param("9999-12-31T23:59:59-23:59", id="after the last year"),
    pytest.param("0001-01-01T00:00:00.000000Z", id="-infinity in PostgreSQL"),
    pytest.param("9999-12-31T23:59:59.999999Z", id="infinity in PostgreSQL"),
    pytest.param("9999-12-31T22:59:59.999999-01:00", id="infinity, written otherwise"),
]


@pytest.mark.parametrize("time", NEVER)
def test_a_batch_of_no_time(time: str) -> None:
    with pytest.raises(ContractError, match=r"`ts` is .*, not between 0001"):
        canonical_ts(time)


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00.000001Z", "9999-12-31T23:59:59.999998Z"])
def test_the_first_and_the_last_time(time: str) -> None:
    assert canonical_ts(time) == time


@pytest.mark.parametrize("time", NEVER)
def test_a_snapshot_of_no_time(time: str) -> None:
    bad = msgspec.json.decode(snapshot("BTC", 1)) | {"time": time}
    found = decode(MEMPOOL_DECODER, msgspec.json.encode(bad), "mempool snapshot")
    with pytest.raises(ContractError, match="`time`"):
        snapshot_batch(found, version=1, correlation_id="c")


@pytest.mark.parametrize("offset", [-1, 2**63, 2**70])
def test_a_receipt_of_what_no_topic_has(offset: int) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    good = Receipt(
        stage="sqlite", origin=Origin("t", 0, 0), provider="p", symbol="S", ts="x", outcomes={},
        received_at=now, finished_at=now,
    )  # fmt: skip
    bad = msgspec.to_builtins(good, str_keys=True) | {
        "origin": {"topic": "t", "partition": 0, "offset": offset}
    }
    with pytest.raises(ContractError, match=r"origin.offset"):
        decode(RECEIPT_DECODER, json.dumps(bad).encode(), "receipt")


@pytest.mark.parametrize("key", [None, b"", b"\xff", b"btc", b"A|B"])
def test_a_tick_of_no_chain(key: bytes | None) -> None:
    with pytest.raises(ContractError, match="symbol"):
        read_chain(key)


def test_what_dedupe_has_not_written_is_no_signal_to_store() -> None:
    good = msgspec.json.decode(ENCODER.encode(batch("p", 1, forwarded=True)))
    assert read_forwarded(msgspec.json.encode(good)).signals[0].digest == digest_of(
        batch("p", 1, forwarded=True).signals[0]
    )
    changes: dict[str, dict[str, object]] = {
        "`ts`": {"ts": "2024-01-01T00:00:00+01:00"},
        "without a time zone": {"ts": "2024-01-01T00:00:00"},
        "not RFC 3339": {"ts": "x"},
        "`provider`": {"provider": "a|b"},
        "not upper case": {"symbol": "fuzz"},
        "of 63 bits": {"signals": [good["signals"][0] | {"digest": 2**63}]},
        "lacks value": {"signals": [{"name": "n"}]},
    }
    for reason, change in changes.items():
        with pytest.raises(ContractError, match=reason):
            read_forwarded(msgspec.json.encode(good | change))


@pytest.mark.parametrize(
    ("found", "kept"),
    [(b"id", "id"), (b"a\0b", "a\ufffdb"), (b"\xff", "\ufffd"), (b"i" * 10_000, "i" * 256), (b"", None)],
)
def test_a_correlation_id_is_what_every_store_takes(found: bytes, kept: str | None) -> None:
    assert Record("t", 0, 0, 0, None, None, {CORRELATION_ID: found}).correlation_id == kept


def test_metadata_that_is_not_utf8_is_refused_before_a_store_sees_it() -> None:
    good = ENCODER.encode(batch("fuzz", 1, forwarded=True))
    assert b'{"a":' in good
    with pytest.raises(ContractError, match="'n0': `metadata` is not UTF-8"):
        read_forwarded(good.replace(b'{"a":', b'{"\xc3(":'))
