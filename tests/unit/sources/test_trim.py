"""Trimming: nothing of the contract is lost, no satoshi changes."""

from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import ContractError
from app.model.block import BLOCK_DECODER, MAX_MONEY_SAT, Block, btc, satoshi
from app.sources.simulator import simulate
from app.sources.trim import TrimmedBlock, record_of
from tests.support.real_blocks import REAL_BLOCKS, features

TRIM = msgspec.json.Decoder(TrimmedBlock)
BLOCKS = [*REAL_BLOCKS, *simulate(3, seed=4, start_height=880_000)]


def trimmed(value: bytes) -> bytes:
    """What is sent of it."""
    return record_of(TRIM.decode(value), "BTC").value


def amounts(block: Block) -> list[int]:
    """Every amount, in satoshi."""
    found = []
    for tx in block.tx:
        found += [satoshi(output.value) for output in tx.vout]
        found += [satoshi(txin.prevout.value) for txin in tx.vin if txin.prevout is not None]
        found += [satoshi(tx.fee)] if tx.fee is not None else []
    return found


@pytest.mark.parametrize("value", BLOCKS)
def test_the_contract_is_kept_and_the_rest_is_not(value: bytes) -> None:
    sent = trimmed(value)
    assert BLOCK_DECODER.decode(sent) == BLOCK_DECODER.decode(value)
    assert features(sent) == features(value)
    assert len(sent) < len(value) * 0.7
    assert b'"hex"' not in sent
    assert b"null" not in sent


@pytest.mark.parametrize("value", BLOCKS)
def test_amounts_are_equal_to_the_satoshi_and_the_bit(value: bytes) -> None:
    before, after = BLOCK_DECODER.decode(value), BLOCK_DECODER.decode(trimmed(value))
    assert amounts(after) == amounts(before)
    assert len(amounts(before)) > 100


@given(st.integers(0, MAX_MONEY_SAT))
def test_any_amount_survives_as_core_writes_it(sat: int) -> None:
    text = f"{sat // 10**8}.{sat % 10**8:08d}"
    read = msgspec.json.decode(text, type=float)
    assert read == btc(sat)
    assert satoshi(msgspec.json.decode(msgspec.json.encode(read), type=float)) == sat


def test_of_the_header_only_what_is_read_is_sent() -> None:
    block = orjson.loads(BLOCKS[0]) | {"confirmations": 7, "chainwork": "00ff"}
    sent = orjson.loads(trimmed(orjson.dumps(block)))
    assert "mediantime" in block
    assert set(sent) <= set(Block.__struct_fields__)


def test_the_record_has_what_headers_need() -> None:
    record = record_of(TRIM.decode(REAL_BLOCKS[0]), "BTC")
    block = orjson.loads(REAL_BLOCKS[0])
    assert (record.hash, record.height) == (block["hash"], block["height"])
    assert record.previousblockhash == block["previousblockhash"]
    assert not record.isolated


def test_a_wrong_chain_is_refused() -> None:
    with pytest.raises(ContractError, match="send 'BTC'"):
        record_of(TRIM.decode(REAL_BLOCKS[0]), "btc")


def _damaged(block: dict[str, Any], value: object) -> bytes:
    block["tx"][0]["vout"][0]["value"] = value
    return orjson.dumps(block)


@pytest.mark.parametrize("value", [-1, 21_000_001, "1.0", None])
def test_an_impossible_amount_is_refused_while_reading(value: object) -> None:
    with pytest.raises(msgspec.ValidationError, match="value"):
        TRIM.decode(_damaged(orjson.loads(REAL_BLOCKS[0]), value))
