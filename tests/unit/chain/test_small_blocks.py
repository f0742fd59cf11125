"""Blocks of a few transactions, written out: the bounds that real blocks seldom touch."""

import json
from typing import Any

import pytest

from app.chain.extract import extract
from app.model.features import BlockFeatures

Json = dict[str, Any]
HEIGHT = 840_000


def output(value: float, address: str | None = None) -> Json:
    return {"value": value, "scriptPubKey": {"address": address} if address else {}}


def spend(value: float, address: str | None = None, age: int = 0) -> Json:
    return {"prevout": {**output(value, address), "height": HEIGHT - age}}


def tx(vin: list[Json], vout: list[Json], **fields: object) -> Json:
    return {"txid": "ab" * 32, "weight": 400, "vin": vin, "vout": vout, **fields}


def features(*txs: Json, payouts: list[Json] | None = None) -> BlockFeatures:
    coinbase = tx([{"coinbase": "51"}], payouts or [output(3.125, "miner")])
    header = {"hash": "cd" * 32, "height": HEIGHT, "time": 1_713_571_767, "weight": 40_000, "size": 10_000}
    return extract(json.dumps({**header, "tx": [coinbase, *txs]}).encode(), chain="BTC", isolated=True)


def test_change_is_what_goes_back_to_an_inputs_address() -> None:
    found = features(tx([spend(5, "a"), spend(4, "b")], [output(6, "c"), output(2, "b"), output(1, "a")]))
    assert found.transfer_sat == 6 * 10**8


def test_an_output_without_an_address_is_nobodys_change() -> None:
    found = features(tx([spend(5), spend(4, "a")], [output(5), output(4, "a")]))
    assert found.transfer_sat == 5 * 10**8


@pytest.mark.parametrize(
    ("value", "large"), [(10, [10 * 10**8]), (9.99999999, []), (10.00000001, [10**9 + 1])]
)
def test_a_large_transfer_starts_at_10_btc(value: float, large: list[int]) -> None:
    found = features(tx([spend(value, "a")], [output(value, "b")]))
    assert [transfer.value_sat for transfer in found.large_transfers] == large


def test_equal_transfers_are_ordered_by_txid() -> None:
    one, two = (tx([spend(100, "a")], [output(100, "b")], txid=name * 32) for name in ("0b", "0a"))
    assert [transfer.txid for transfer in features(one, two).large_transfers] == ["0a" * 32, "0b" * 32]


def test_amounts_that_a_double_cannot_hold() -> None:
    # 0.29, 0.57, 0.58, 1.15 and 1.16 times 1e8 lie just below a whole number of satoshi.
    stated = tx([{}], [output(0.57, "b")], fee=0.29)
    known = tx([spend(1.15, "a"), spend(1.16, "a")], [output(0.58, "b"), output(1.44, "c")], fee=0.29)
    found = features(stated, known, payouts=[output(0.57, "miner")])
    assert (found.total_fee_sat, found.transfer_sat) == (58_000_000, 202_000_000)
    assert found.coinbase_value_sat == 57_000_000


def test_payouts_are_by_value_largest_first() -> None:
    found = features(payouts=[output(0.5, "small"), output(2, "large"), output(0), output(0.5, "later")])
    assert found.payout_addresses == ["large", "small", "later"]


def test_coins_made_in_the_same_block_have_no_age() -> None:
    found = features(tx([spend(7, "a"), spend(2, "b", age=288)], [output(9, "c")]))
    assert found.coin_days_destroyed == 4.0
