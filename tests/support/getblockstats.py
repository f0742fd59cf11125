"""Bitcoin Core's `getblockstats`, from its documented definitions and `getblock <hash> 3` alone.

Decimals and integers on the raw JSON; nothing of the product is used. Results carry the RPC's own names:

- txs: transactions, coinbase included; ins: inputs, coinbase's excluded; outs: outputs of all;
- totalfee: sum of inputs minus outputs of each transaction but the coinbase, satoshi;
- total_weight, total_out: of the transactions but the coinbase;
- subsidy: 50 BTC, halved every 210,000 blocks;
- feerate_percentiles: at the 10th, 25th, 50th, 75th and 90th percentile weight unit, in satoshi per virtual
  byte: each transaction's fee x 4 / weight, rounded down; in order of rate, then weight, the first with
  which the cumulated weight is at least that share of the total.
"""

import json
from decimal import Decimal
from typing import Any

COIN = 100_000_000
SHARES = (Decimal("0.10"), Decimal("0.25"), Decimal("0.50"), Decimal("0.75"), Decimal("0.90"))

Json = dict[str, Any]


def exact(value: bytes) -> Json:
    """The block with its amounts as decimals."""
    block: Json = json.loads(value, parse_float=Decimal)
    return block


def sat(amount: Decimal | int) -> int:
    """An amount of BTC in satoshi, which it must be a whole number of."""
    satoshi = Decimal(amount) * COIN
    assert satoshi == int(satoshi), f"{amount} BTC has more than eight decimals"
    return int(satoshi)


def getblockstats(block: Json) -> Json:
    """The figures above of a block as `exact` reads it, all prevouts there."""
    others = block["tx"][1:]
    fees = [fee_sat(tx) for tx in others]
    return {
        "txs": len(block["tx"]),
        "ins": sum(len(tx["vin"]) for tx in others),
        "outs": sum(len(tx["vout"]) for tx in block["tx"]),
        "totalfee": sum(fees),
        "total_weight": sum(tx["weight"] for tx in others),
        "total_out": sum(paid_sat(tx) for tx in others),
        "subsidy": subsidy_sat(block["height"]),
        "feerate_percentiles": percentiles(fees, [tx["weight"] for tx in others]),
    }


def fee_sat(tx: Json) -> int:
    """Inputs minus outputs."""
    return sum(sat(txin["prevout"]["value"]) for txin in tx["vin"]) - paid_sat(tx)


def paid_sat(tx: Json) -> int:
    """All outputs."""
    return sum(sat(output["value"]) for output in tx["vout"])


def subsidy_sat(height: int) -> int:
    """`GetBlockSubsidy`: halved once an era, nothing from the 64th halving on."""
    subsidy = 50 * COIN
    for _ in range(min(height // 210_000, 64)):
        subsidy //= 2
    return subsidy


def percentiles(fees_sat: list[int], weights: list[int]) -> list[int]:
    """`CalculatePercentilesByWeight`; five zeros without any transaction, as the RPC answers."""
    scores = sorted((fee * 4 // weight, weight) for fee, weight in zip(fees_sat, weights, strict=True))
    total, passed, found = sum(weights), 0, list[int]()
    for rate, weight in scores:
        passed += weight
        while len(found) < len(SHARES) and passed >= total * SHARES[len(found)]:
            found.append(rate)
    return found or [0] * len(SHARES)
