"""Signals for tests, as producers send them and as dedupe forwards them."""

from datetime import UTC, datetime

from app.dedupe import digest_of
from app.model.keys import batch_key, partition_of
from app.model.receipt import Origin, Outcome, Receipt
from app.model.signal import ENCODER, Signal, SignalBatch
from app.streaming.record import make_headers

Message = tuple[bytes | None, bytes | None, int | None, list[tuple[str, bytes]]]

PROVIDER = "test"


def ts_of(number: int) -> str:
    """A canonical time for each number."""
    return datetime.fromtimestamp(1_700_000_000 + number, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def batch_of(number: int, names: int = 3, value: float = 1.0, version: int | None = None) -> SignalBatch:
    """The batch of a number: the same one every time."""
    signals = [Signal(name=f"n{i}", value=value + i + number / 1000, version=version) for i in range(names)]
    return SignalBatch(provider=PROVIDER, symbol="TEST", ts=ts_of(number), signals=signals)


def raw(batch: SignalBatch, partitions: int) -> Message:
    """A record of `signals.raw`, on the partition of its key."""
    key = batch_key(batch.provider, batch.symbol, batch.ts)
    return key, ENCODER.encode(batch), partition_of(key, partitions), []


def forwarded(
    count: int, sinks: str, partitions: int, names: int = 3, rounds: int = 1, first: int = 0
) -> list[Message]:
    """Records of `signals` as dedupe would forward them, `origin-offset` ascending a partition.

    Each round has the same keys with newer versions: those of the last are `count * (rounds - 1) + 1` on.
    """
    origins = [0] * partitions
    found: list[Message] = []
    for number in range(count * rounds):
        batch = batch_of(first + number % count, names, value=1.0 + number // count, version=number + 1)
        for signal in batch.signals:
            signal.digest = digest_of(signal)
        key, value, partition, _ = raw(batch, partitions)
        assert partition is not None
        headers = make_headers(f"c{number}", origin_offset=origins[partition], required_sinks=sinks)
        origins[partition] += 1
        found.append((key, value, partition, headers))
    return found


def receipts_for(messages: list[Message], topic: str, sink: str) -> list[Message]:
    """Receipts of a sink for these records of `signals`, in the same order."""
    offsets: dict[int, int] = {}
    found: list[Message] = []
    now = datetime.now(UTC)
    for key, _, partition, _ in messages:
        assert key is not None
        assert partition is not None
        offset = offsets.get(partition, 0)
        offsets[partition] = offset + 1
        provider, symbol, ts = key.decode().split("|")
        receipt = Receipt(
            stage=sink, origin=Origin(topic, partition, offset), provider=provider, symbol=symbol, ts=ts,
            outcomes={Outcome.INSERTED: ["n0"]}, received_at=now, finished_at=now,
        )  # fmt: skip
        found.append((key, ENCODER.encode(receipt), partition, []))
    return found
