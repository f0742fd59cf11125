"""Files as Bitcoin ETL exports them, made of blocks as Bitcoin Core gives them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson


def write_export(folder: Path, blocks: Iterable[bytes], *, enriched: bool = True) -> tuple[Path, Path]:
    """blocks.json and transactions.json; not `enriched`: inputs without values, as a plain export."""
    found = [orjson.loads(value) for value in blocks]
    files = folder / "blocks.json", folder / "transactions.json"
    _write(files[0], map(_block, found))
    _write(files[1], (_tx(block, n, tx, enriched) for block in found for n, tx in enumerate(block["tx"])))
    return files


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))


def _block(block: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "block",
        "hash": block["hash"],
        "size": block["size"],
        "stripped_size": block["strippedsize"],
        "weight": block["weight"],
        "number": block["height"],
        "version": block["version"],
        "merkle_root": block["merkleroot"],
        "timestamp": block["time"],
        "nonce": f"{block['nonce']:x}",
        "coinbase_param": block["tx"][0]["vin"][0]["coinbase"],
        "transaction_count": len(block["tx"]),
    }


def _tx(block: dict[str, Any], index: int, tx: dict[str, Any], enriched: bool) -> dict[str, Any]:
    inputs = [_put(txin["prevout"]) for txin in tx["vin"] if "prevout" in txin]
    outputs = [_put(output) for output in tx["vout"]]
    if not enriched:
        inputs = [put | {"value": None, "addresses": []} for put in inputs]
    paid = sum(put["value"] for put in outputs)
    spent = sum(put["value"] or 0 for put in inputs)
    return {
        "type": "transaction",
        "hash": tx["txid"],
        "size": _size(tx["weight"]),
        "virtual_size": -(-tx["weight"] // 4),
        "block_number": block["height"],
        "block_hash": block["hash"],
        "is_coinbase": index == 0,
        "index": index,
        "inputs": inputs,
        "outputs": outputs,
        "input_value": spent,
        "output_value": paid,
        "fee": 0 if index == 0 else spent - paid,
    }


def _put(output: dict[str, Any]) -> dict[str, Any]:
    script = output["scriptPubKey"]
    made_up = "nonstandard" + "0" * 40
    return {"addresses": [script.get("address", made_up)], "value": round(output["value"] * 1e8)}


def _size(weight: int) -> int:
    """A size that a transaction of this weight may have (simulated ones have others)."""
    if weight % 4 == 0:
        return weight // 4
    return next(size for size in range(weight // 4 + 2, weight) if (weight - size) % 3 == 0)
