"""The signals of the benches: as batches and one by one, the same in both."""

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random

import msgspec

from app.dedupe import digest_of
from app.model.keys import batch_key, partition_of
from app.model.signal import ENCODER, RawRecord, Signal, SignalBatch
from app.streaming.record import make_headers
from bench._broker import Message

NAMES = 100
"""Signals in a batch."""
PROVIDER, SYMBOL = "bench", "BTC"
FIRST_SECOND, FIRST_HEIGHT, FIRST_VERSION = 1_700_000_000, 800_000, 1_700_000_000_000_000


def batch_of(number: int) -> SignalBatch:
    """The batch of a number: the same one every time. A third of its signals has metadata, as of those
    that the product computes from blocks."""
    ts = datetime.fromtimestamp(FIRST_SECOND + number, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    signals = [
        Signal(
            name=f"feature.{name:03}",
            value=number / 7 + name,
            score=(number * 31 + name) % 100 / 100,
            signal_type="predictive",
            block_height=FIRST_HEIGHT + number,
            confidence=0.9,
            metadata=msgspec.UNSET if name % 3 else _metadata(number, name),
        )
        for name in range(NAMES)
    ]
    return SignalBatch(provider=PROVIDER, symbol=SYMBOL, ts=ts, signals=signals)


def _metadata(number: int, name: int) -> msgspec.Raw:
    return msgspec.Raw(b'{"model":"m1","sample":%d}' % (number * NAMES + name))


def with_repeats(batches: int, share: float) -> Iterator[SignalBatch]:
    """So many batches, `share` of them repeats of an earlier one, spread evenly."""
    rng, new, repeats = Random(1), 0, 0  # reproducible
    for number in range(1, batches + 1):
        if new and repeats < int(number * share):
            repeats += 1
            yield batch_of(rng.randrange(new))
        else:
            new += 1
            yield batch_of(new - 1)


def forwarded(batches: int) -> Iterator[SignalBatch]:
    """So many different batches as dedupe would forward them: with version, digest and time."""
    for number in range(batches):
        batch = batch_of(number)
        for signal in batch.signals:
            signal.version = FIRST_VERSION + number
            signal.digest = digest_of(signal)
            signal.created_at = datetime.fromtimestamp(FIRST_SECOND, UTC)
        yield batch


def whole(batch: SignalBatch, partitions: int) -> Message:
    """The batch as one record."""
    key = batch_key(batch.provider, batch.symbol, batch.ts)
    return Message(key, ENCODER.encode(batch), partition_of(key, partitions), [])


def one_by_one(batch: SignalBatch, partitions: int) -> Iterator[Message]:
    """The batch as a record a signal."""
    key = batch_key(batch.provider, batch.symbol, batch.ts)
    partition = partition_of(key, partitions)
    for signal in batch.signals:
        fields = {name: getattr(signal, name) for name in Signal.__struct_fields__}
        flat = RawRecord(provider=batch.provider, symbol=batch.symbol, ts=batch.ts, **fields)
        yield Message(key, ENCODER.encode(flat), partition, [])


def with_origins(messages: Iterator[Message], sink: str) -> Iterator[Message]:
    """The same with the headers that dedupe writes."""
    origins: dict[int, int] = {}
    for number, message in enumerate(messages):
        origin = origins[message.partition] = origins.get(message.partition, -1) + 1
        headers = make_headers(f"c{number}", origin_offset=origin, required_sinks=sink)
        yield message._replace(headers=headers)
