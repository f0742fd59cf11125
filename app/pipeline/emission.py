"""What leaves a chain, and under which version. Pure."""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from app.model.keys import version_of
from app.model.signal import SignalBatch
from app.streaming.record import Record


def emitted(batches: Iterable[SignalBatch], from_height: int) -> Iterator[SignalBatch]:
    """Batches to send, without signals of blocks below `from_height`, which only warm up."""
    for batch in batches:
        signals = [signal for signal in batch.signals if (signal.block_height or 0) >= from_height]
        if signals:
            yield batch if len(signals) == len(batch.signals) else replace(batch, signals=signals)


def event_version(record: Record, versions_from: int | None) -> int:
    """Version of what a record of `block-features` causes: the broker's time, or counted from a number.

    Both grow along the partition.
    """
    if versions_from is None:
        return version_of(record.timestamp_ms, record.offset)
    return versions_from + record.offset
