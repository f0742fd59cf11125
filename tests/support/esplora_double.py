"""A DOUBLE of an Esplora server: its REST over real HTTP, made of blocks as Bitcoin Core gives them."""

from collections.abc import Iterable
from typing import Any

import orjson

from tests.support.http_double import Answer, HttpDouble

PAGE = 25


class EsploraDouble(HttpDouble):
    """`limited` requests are answered with 429 first; a `page` instead of anything else."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        super().__init__()
        self.best: dict[int, str] = {}
        self.blocks: dict[str, dict[str, Any]] = {}
        self.extend(blocks)
        self.limited = 0
        self.page: bytes | None = None

    def extend(self, blocks: Iterable[bytes]) -> None:
        """These are on the best chain from now on; whom they replace stays known by its hash."""
        found = [orjson.loads(value) for value in blocks]
        self.blocks |= {block["hash"]: block for block in found}
        self.best |= {block["height"]: block["hash"] for block in found}

    def answer(self, path: str, body: bytes, authorization: str | None) -> Answer:
        self.note(path)
        if self.limited:
            self.limited -= 1
            return Answer(429, b"Too Many Requests", "text/plain")
        if self.page is not None:
            return Answer(200, self.page, "text/html")
        match path.strip("/").split("/"):
            case ["blocks", "tip", "height"]:
                return _text(str(max(self.best)))
            case ["block-height", height] if int(height) in self.best:
                return _text(self.best[int(height)])
            case ["block", block_hash] if block_hash in self.blocks:
                return Answer(200, orjson.dumps(_header(self.blocks[block_hash])))
            case ["block", block_hash, "txs", start] if block_hash in self.blocks and int(start) % PAGE == 0:
                txs = self.blocks[block_hash]["tx"][int(start) : int(start) + PAGE]
                return Answer(200, orjson.dumps([_transaction(tx) for tx in txs]))
        return Answer(404, b"Block not found", "text/plain")


def _text(text: str) -> Answer:
    return Answer(200, text.encode(), "text/plain")


def _sat(amount: float) -> int:
    return round(amount * 1e8)


def _header(block: dict[str, Any]) -> dict[str, Any]:
    found = {name: block[name] for name in ("height", "version", "size", "weight", "mediantime", "nonce")}
    return {
        **found,
        "id": block["hash"],
        "timestamp": block["time"],
        "tx_count": len(block["tx"]),
        "merkle_root": block["merkleroot"],
        "previousblockhash": block.get("previousblockhash"),
    }


def _output(output: dict[str, Any]) -> dict[str, Any]:
    script = output["scriptPubKey"]
    found = {"scriptpubkey": script.get("hex", ""), "value": _sat(output["value"])}
    if "address" in script:
        found["scriptpubkey_address"] = script["address"]
    return found


def _input(txin: dict[str, Any]) -> dict[str, Any]:
    if "coinbase" in txin:
        return {"txid": "0" * 64, "prevout": None, "scriptsig": txin["coinbase"], "is_coinbase": True}
    return {"prevout": _output(txin["prevout"]), "scriptsig": "", "is_coinbase": False}


def _transaction(tx: dict[str, Any]) -> dict[str, Any]:
    return {
        "txid": tx["txid"],
        "size": tx["size"],
        "weight": tx["weight"],
        "fee": _sat(tx.get("fee", 0)),
        "vin": [_input(txin) for txin in tx["vin"]],
        "vout": [_output(output) for output in tx["vout"]],
        "status": {"confirmed": True},
    }
