"""Blocks that can't be: each is refused with the place and what was found there, none gives a figure."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from app.chain.extract import extract
from app.errors import ContractError
from app.sources.simulator import CHAIN, simulate

(BLOCK,) = simulate(1, seed=3, start_height=880_000)
Json = dict[str, Any]


def transaction(block: Json) -> Json:
    """Its first transaction that has one input and two outputs or more."""
    found: Json = next(tx for tx in block["tx"][1:] if len(tx["vin"]) == 1 and len(tx["vout"]) > 1)
    return found


def spent(block: Json) -> Json:
    found: Json = transaction(block)["vin"][0]["prevout"]
    return found


HOSTILE: dict[str, tuple[Callable[[Json], object], str]] = {
    "a negative amount": (lambda b: transaction(b)["vout"][0].update(value=-0.1), r"vout\[0\]\.value.*-0\.1"),
    "an amount above 21 million": (lambda b: spent(b).update(value=21_000_001), r"prevout\.value.*21000001"),
    "a negative fee": (lambda b: transaction(b).update(fee=-1e-8), r"\.fee.*-1e-8"),
    "a fee that is another": (lambda b: transaction(b).update(fee=0.5), "states a fee of 0.5 BTC"),
    "outputs above inputs": (
        lambda b: (transaction(b).pop("fee"), spent(b).update(value=0)),
        "inputs of 0 sat and outputs of",
    ),
    "an amount in text": (lambda b: spent(b).update(value="0.1"), r"prevout\.value.*\"0\.1\""),
    "an amount of null": (lambda b: spent(b).update(value=None), r"prevout\.value"),
    "an input from the future": (
        lambda b: spent(b).update(height=880_001),
        "spends an output of height 880001",
    ),
    "a negative height": (lambda b: b.update(height=-1), "height.*found -1"),
    "a weight of nothing": (lambda b: transaction(b).update(weight=0), r"\.weight.*found 0"),
    "weights above the block's": (lambda b: b.update(weight=5000), "`weight` is 5000, less than"),
    "no transactions": (lambda b: b.update(tx=[]), r"tx.*found \[\]"),
    "no coinbase": (lambda b: b.update(tx=b["tx"][1:], nTx=len(b["tx"]) - 1), "is no coinbase"),
    "two coinbases": (
        lambda b: transaction(b).update(vin=[{"coinbase": "00"}]),
        "other than the first has a `coinbase`",
    ),
    "a cut-off list": (lambda b: b["tx"].pop(), "`nTx` is"),
    "a coinbase script that is no hex": (
        lambda b: b["tx"][0]["vin"][0].update(coinbase="\0x"),
        "not hexadecimal",
    ),
    "a coinbase that claims too much": (
        lambda b: b["tx"][0]["vout"][0].update(value=50),
        "the coinbase claims 5000000000 sat",
    ),
    "a hash with a NUL": (lambda b: b.update(hash="\0" * 64), "hash"),
    "a txid that is cut off": (lambda b: transaction(b).update(txid="ab"), r"\.txid.*found \"ab\""),
    "a time before 1970": (lambda b: b.update(time=-5), "time.*found -5"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_block_is_refused(name: str) -> None:
    change, message = HOSTILE[name]
    block = json.loads(BLOCK)
    change(block)
    with pytest.raises(ContractError, match=message):
        extract(json.dumps(block).encode(), chain=CHAIN, isolated=False)


@pytest.mark.parametrize("token", [b"NaN", b"Infinity", b"1e400"])
def test_a_number_that_is_none_is_refused(token: bytes) -> None:
    broken = BLOCK.replace(b'"fee":', b'"fee":' + token + b',"x":', 1)
    with pytest.raises(ContractError):
        extract(broken, chain=CHAIN, isolated=False)


@pytest.mark.parametrize("value", [b"", b"[]", b"null", BLOCK[:-20], b"\xff\xfe", b'{"hash": 1}'])
def test_what_is_no_block_is_refused(value: bytes) -> None:
    with pytest.raises(ContractError, match="block"):
        extract(value, chain=CHAIN, isolated=False)


def test_a_large_transfers_txid_must_be_hexadecimal() -> None:
    block = json.loads(BLOCK)
    tx = transaction(block)
    tx["txid"] = "\0" * 64
    tx["vin"][0]["prevout"]["value"] += 150
    tx["vout"].append({"value": 150, "scriptPubKey": {}})
    tx.pop("fee")
    with pytest.raises(ContractError, match="txid"):
        extract(json.dumps(block).encode(), chain=CHAIN, isolated=False)


@pytest.mark.parametrize("chain", ["", "btc", "B|C", "B\0C"])
def test_the_chain_must_be_a_symbol(chain: str) -> None:
    with pytest.raises(ContractError, match="symbol"):
        extract(BLOCK, chain=chain, isolated=False)
