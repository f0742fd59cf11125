"""Blocks that can't be: each is refused with the place and what was found there, none gives a figure."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from app.chain.extract import extract
from app.errors import ContractError
from app.labels.registry import builtin_labels
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
    "a height in text": (lambda b: b.update(height="880000"), r"height.*\"880000\""),
    "a weight in text": (lambda b: transaction(b).update(weight="400"), r"\.weight.*\"400\""),
    "a time in text": (lambda b: b.update(time="now"), r"time.*\"now\""),
    "an input's height in text": (lambda b: spent(b).update(height="1"), r"prevout\.height.*\"1\""),
    "an address that is a number": (
        lambda b: transaction(b)["vout"][0].update(scriptPubKey={"address": 1}),
        r"address.*found 1",
    ),
    "inputs that are text": (lambda b: transaction(b).update(vin="none"), r"\.vin.*\"none\""),
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


def test_a_block_without_any_prevout_is_incomplete() -> None:
    block = json.loads(BLOCK)
    for tx in block["tx"][1:]:
        tx.pop("fee")
        for txin in tx["vin"]:
            txin.pop("prevout")
    found = extract(json.dumps(block).encode(), chain=CHAIN, isolated=False, labels=builtin_labels())
    assert (found.completeness, found.fee_completeness, found.age_completeness) == (0.0, 0.0, 0.0)
    assert (found.total_fee_sat, found.transfer_sat, found.shapes, found.feerate_percentiles) == (
        0,
        0,
        {},
        [],
    )


def test_inputs_of_unknown_age_lower_the_age_completeness_only() -> None:
    block = json.loads(BLOCK)
    whole = extract(BLOCK, chain=CHAIN, isolated=False)
    spent(block).pop("height")
    value_sat = round(spent(block)["value"] * 1e8)
    found = extract(json.dumps(block).encode(), chain=CHAIN, isolated=False)
    assert found.age_completeness == 1 - 1 / found.input_count
    assert (found.completeness, found.transfer_sat) == (1.0, whole.transfer_sat)
    assert found.aged_sat == whole.aged_sat - value_sat


def test_a_transaction_of_100_000_outputs() -> None:
    block = json.loads(BLOCK)
    tx = transaction(block)
    tx.pop("fee")
    tx["vout"] = [{"value": 0.001, "scriptPubKey": {"address": f"a{number}"}} for number in range(100_000)]
    spent(block)["value"] = 100.5
    block["tx"][0]["vout"][0]["value"] = 0
    found = extract(json.dumps(block).encode(), chain=CHAIN, isolated=False)
    assert (found.large_transfers[0].value_sat, found.output_count > 100_000) == (100 * 10**8, True)
    assert len(msgspec.json.encode(found)) < 50_000


def test_amounts_that_no_64_bits_hold() -> None:
    block = json.loads(BLOCK)
    most = {"txid": "ab" * 32, "weight": 1, "vout": [{"value": 21e6, "scriptPubKey": {}}]}
    most["vin"] = [{"prevout": {"height": 1, "value": 21e6, "scriptPubKey": {}}}]
    block["tx"] += [most] * 4400
    block.update(nTx=len(block["tx"]), weight=4_000_000)
    with pytest.raises(ContractError, match="more than 64 bits hold"):
        extract(json.dumps(block).encode(), chain=CHAIN, isolated=False)
