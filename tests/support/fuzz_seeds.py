"""Valid messages of each topic, by number: what a fuzzer spoils, and what must come through beside it."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from typing import Any

import msgspec
import orjson

from app.chain.extract import extract
from app.config import Settings
from app.dedupe import digest_of
from app.model.keys import batch_key
from app.model.mempool import MEMPOOL_ENCODER, FeerateBin, MempoolSnapshot
from app.model.receipt import Origin, Outcome, Receipt
from app.model.signal import ENCODER, Signal, SignalBatch
from app.sources.simulator import simulate

Seed = Callable[[random.Random, int], tuple[bytes, Any, list[Any]]]
CHAIN_BLOCKS = 200


@cache
def _block() -> Any:
    """A simulated block of four transactions, some kB."""
    block = orjson.loads(next(iter(simulate(1, seed=1))))
    block["tx"] = block["tx"][:4]
    block["nTx"] = 4
    block["tx"][0]["vout"] = [{**block["tx"][0]["vout"][0], "value": 1.0}]
    return block


def block(chain: str, number: int) -> dict[str, Any]:
    """A block that stands on the one before it."""
    height = 1 + number % CHAIN_BLOCKS
    return {
        **_block(),
        "hash": _hash(chain, height),
        "previousblockhash": _hash(chain, height - 1),
        "height": height,
        "time": 1_700_000_000 + number * 600,
    }


def _hash(chain: str, height: int) -> str:
    return sha256(f"{chain}-{height}".encode()).hexdigest()


def blocks(rng: random.Random, number: int) -> tuple[bytes, Any, list[Any]]:
    """Half of them alone, half in chains."""
    chain = f"FUZZ-B-{number // CHAIN_BLOCKS}"
    alone = [("isolated", b"1")] if rng.random() < 0.5 else []
    return b"block", block(chain, number), [("chain", chain.encode()), *alone]


def features_of(chain: str, number: int) -> bytes:
    """Of that block."""
    return msgspec.json.encode(extract(orjson.dumps(block(chain, number)), chain=chain, isolated=False))


def features(_rng: random.Random, number: int) -> tuple[bytes, Any, list[Any]]:
    """In chains of their own."""
    chain = f"FUZZ-F-{number // CHAIN_BLOCKS}"
    return chain.encode(), orjson.loads(features_of(chain, number)), []


def snapshot(chain: str, number: int) -> bytes:
    """Of another second each."""
    found = MempoolSnapshot(
        chain=chain,
        time=datetime.fromtimestamp(1_700_000_000 + number, UTC),
        tx_count=3, vsize=2_500_000, total_fee_sat=1, min_fee=1.0,
        histogram=[FeerateBin(2.0, 1_000_000, 1), FeerateBin(10.0, 600_000, 1)],
        estimates={"1": 12.0},
    )  # fmt: skip
    return MEMPOOL_ENCODER.encode(found)


def mempool(_rng: random.Random, number: int) -> tuple[bytes, Any, list[Any]]:
    return b"FUZZ-M", orjson.loads(snapshot("FUZZ-M", number)), []


def batch(provider: str, number: int, *, forwarded: bool) -> SignalBatch:
    """Three signals; as dedupe forwards them, with version and digest."""
    when = datetime.fromtimestamp(1_700_000_000 + number, UTC)
    signals = [
        Signal(
            name=f"n{i}", value=i + 0.5, score=0.1, confidence=0.5, signal_type="any", block_height=7,
            block_time=when, created_at=when, metadata=msgspec.Raw(b'{"a":[1,{"b":null}]}'),
            version=number + 1 if forwarded else None,
        )
        for i in range(3)
    ]  # fmt: skip
    for signal in signals if forwarded else ():
        signal.digest = digest_of(signal)
    ts = when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return SignalBatch(provider=provider, symbol="FUZZ", ts=ts, signals=signals)


def signals_raw(rng: random.Random, number: int) -> tuple[bytes, Any, list[Any]]:
    """Two of three are batches, one is a flat signal."""
    found = batch("fuzz-raw", number, forwarded=False)
    document = orjson.loads(ENCODER.encode(found))
    if rng.random() < 0.3:
        document = {**document["signals"][0], **{k: document[k] for k in ("provider", "symbol", "ts")}}
    return batch_key(found.provider, found.symbol, found.ts), document, []


def signals(sinks: str) -> Seed:
    """As dedupe forwards them, but without an origin: nothing of it is a repeat."""

    def seed(_rng: random.Random, number: int) -> tuple[bytes, Any, list[Any]]:
        found = batch("fuzz-signals", number, forwarded=True)
        key = batch_key(found.provider, found.symbol, found.ts)
        return key, orjson.loads(ENCODER.encode(found)), [("required-sinks", sinks.encode())]

    return seed


def receipts(config: Settings, partition: int) -> Seed:
    """Of sinks and of dedupe, for records that there may be."""
    now = datetime.fromtimestamp(1_700_000_000, UTC)

    def seed(rng: random.Random, number: int) -> tuple[bytes, Any, list[Any]]:
        receipt = Receipt(
            stage=rng.choice(["nosink", "dedupe"]),
            origin=Origin(config.topic("signals"), partition, rng.choice([0, 5, 10**9 + number])),
            provider="fuzz-receipts", symbol="FUZZ", ts="2024-01-01T00:00:00.000000Z",
            outcomes={Outcome.INSERTED: ["n0"], Outcome.REJECTED: ["n1"]}, reasons={"n1": "no"},
            received_at=now, finished_at=now,
        )  # fmt: skip
        return b"fuzz-receipts|FUZZ|2024", orjson.loads(ENCODER.encode(receipt)), []

    return seed
