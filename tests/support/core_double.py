"""A DOUBLE of a Bitcoin Core node: its JSON-RPC over real HTTP, its ZMQ publisher, no validation.

Answers, error codes and HTTP statuses are those of Bitcoin Core with JSON-RPC 1.0: an error of a single
request comes with status 500 (404: unknown method), a batch with 200, a refused login with 401 and no
body, a full work queue with 503 and plain text. The blocks are real or simulated ones.
"""

from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import zmq

from app.config import Settings
from tests.support.http_double import Answer, HttpDouble

USER, PASSWORD = "alice", "open-sesame-39"


class Refusal(Exception):
    """An RPC error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class CoreDouble(HttpDouble):
    """Set the attributes to what the node shall be like."""

    def __init__(self, blocks: Iterable[bytes] = ()) -> None:
        super().__init__()
        self.blocks: dict[str, dict[str, Any]] = {}
        self.best: dict[int, str] = {}
        self.password = PASSWORD
        self.busy = 0
        """So many requests meet a full work queue."""
        self.warming_up = 0
        """So many requests meet a node that still starts."""
        self.syncing = False
        self.pruned_below: int | None = None
        self.knows_prevouts = True
        self.mempool: dict[str, Any] = {}
        self.mempool_loaded = True
        self.estimates: dict[int, dict[str, Any]] = {}
        self.extend(blocks)

    def settings(self, settings: Settings) -> Settings:
        """To reach this node by user and password."""
        update = {"core_url": self.url, "core_user": USER, "core_password": PASSWORD, "source_retry_s": 5.0}
        return Settings(_env_file=None, **{**settings.model_dump(exclude_unset=True), **update})

    def write_cookie(self, path: Path) -> Path:
        """As the node does at its start."""
        path.write_text(f"__cookie__:{self.password}")
        return path

    def extend(self, blocks: Iterable[bytes]) -> None:
        """These are the end of the best chain now: what was there at their heights and above is stale."""
        with self.lock:
            for value in blocks:
                block = orjson.loads(value)
                self.blocks[block["hash"]] = block
                for height in [height for height in self.best if height >= block["height"]]:
                    del self.best[height]
                self.best[block["height"]] = block["hash"]

    @property
    def tip(self) -> int:
        return max(self.best)

    def answer(self, path: str, body: bytes, authorization: str | None) -> Answer:
        if authorization not in self._logins():
            self.note("401")
            return Answer(401, b"", "text/plain")
        if self.busy:
            self.busy -= 1
            self.note("503")
            return Answer(503, b"Work queue depth exceeded", "text/plain")
        request = orjson.loads(body)
        if isinstance(request, list):
            self.note(f"batch {request[0]['method']}")
            return Answer(200, orjson.dumps([self._reply(each)[1] for each in request]))
        self.note(request["method"])
        status, reply = self._reply(request)
        return Answer(status, orjson.dumps(reply))

    def _logins(self) -> set[str]:
        pairs = (f"{user}:{self.password}" for user in (USER, "__cookie__"))
        return {f"Basic {b64encode(pair.encode()).decode()}" for pair in pairs}

    def _reply(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        try:
            if self.warming_up:
                self.warming_up -= 1
                raise Refusal(-28, "Loading block index…")
            method = getattr(self, f"rpc_{request['method']}", None)
            if method is None:
                raise Refusal(-32601, "Method not found")
            return 200, {"result": method(*request["params"]), "error": None, "id": request["id"]}
        except Refusal as error:
            found = {"code": error.code, "message": str(error)}
            return 404 if error.code == -32601 else 500, {"result": None, "error": found, "id": request["id"]}

    def rpc_getblockchaininfo(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "chain": "main",
            "blocks": self.tip,
            "headers": self.tip + (1000 if self.syncing else 0),
            "bestblockhash": self.best[self.tip],
            "initialblockdownload": self.syncing,
            "pruned": self.pruned_below is not None,
        }
        if self.pruned_below is not None:
            found["pruneheight"] = self.pruned_below
        return found

    def rpc_getblockhash(self, height: int) -> str:
        if height not in self.best:
            raise Refusal(-8, "Block height out of range")
        return self.best[height]

    def rpc_getblockheader(self, block_hash: str, verbose: bool) -> dict[str, Any]:
        assert verbose
        return {name: value for name, value in self._block(block_hash).items() if name != "tx"}

    def rpc_getblock(self, block_hash: str, verbosity: int) -> dict[str, Any]:
        assert verbosity == 3
        block = self._block(block_hash)
        if self.pruned_below is not None and block["height"] < self.pruned_below:
            raise Refusal(-1, "Block not available (pruned data)")
        stale = self.best.get(block["height"]) != block_hash
        block = block | {"confirmations": -1 if stale else 1 + self.tip - block["height"]}
        return block if self.knows_prevouts else _without_prevouts(block)

    def rpc_getmempoolinfo(self) -> dict[str, Any]:
        return {"loaded": self.mempool_loaded, "size": len(self.mempool), "mempoolminfee": 0.00001}

    def rpc_getrawmempool(self, verbose: bool) -> dict[str, Any]:
        assert verbose
        return self.mempool

    def rpc_estimatesmartfee(self, target: int) -> dict[str, Any]:
        missing = {"errors": ["Insufficient data or no feerate found"], "blocks": target}
        return self.estimates.get(target, missing)

    def _block(self, block_hash: str) -> dict[str, Any]:
        if block_hash not in self.blocks:
            raise Refusal(-5, "Block not found")
        return self.blocks[block_hash]


def _without_prevouts(block: dict[str, Any]) -> dict[str, Any]:
    """As a node before verbosity 3 answers it."""
    txs = [
        tx | {"vin": [{name: v for name, v in txin.items() if name != "prevout"} for txin in tx["vin"]]}
        for tx in block["tx"]
    ]
    return block | {"tx": txs}


class ZmqPublisher:
    """A real ZMQ publisher on a free port, as `-zmqpubhashblock` opens it."""

    def __init__(self) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self.endpoint = f"tcp://127.0.0.1:{self._socket.bind_to_random_port('tcp://127.0.0.1')}"
        self._number = 0

    def __enter__(self) -> "ZmqPublisher":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close(linger=0)
        self._context.term()

    def wait_for_subscriber(self, timeout_s: float = 20.0) -> bytes:
        """The topic that somebody subscribed to; AssertionError when nobody comes."""
        assert self._socket.poll(int(timeout_s * 1000)), "nobody subscribed"
        return self._socket.recv()[1:]

    def publish(self, block_hash: str) -> None:
        """A new best block."""
        number = self._number.to_bytes(4, "little")
        self._number += 1
        self._socket.send_multipart([b"hashblock", bytes.fromhex(block_hash), number])
