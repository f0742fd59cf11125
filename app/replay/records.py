"""Records of `signals` as sinks take them."""

from collections.abc import AsyncIterator

from app.config import Settings
from app.errors import ContractError
from app.model.signal import BATCH_DECODER, SignalBatch
from app.model.wire import decode
from app.query.kafka import Reader
from app.replay.asked import Range
from app.sinks.base import SinkRecord
from app.streaming.record import ORIGIN_OFFSET, Record


async def read_records(
    reader: Reader, span: Range, heights: range | None
) -> AsyncIterator[tuple[int, SinkRecord | None]]:
    """Offset and content of each record; None for what sinks don't write, or what is not of `heights`.

    Raises Transient.
    """
    last = -1
    async for record in reader.read(span.tp, span.first, span.end):
        origin = record.header_int(ORIGIN_OFFSET)
        if origin is not None and origin <= last:  # what a crashed dedupe worker forwarded twice
            yield record.offset, None
            continue
        last = last if origin is None else origin
        yield record.offset, _content(record, heights)


def _content(record: Record, heights: range | None) -> SinkRecord | None:
    try:
        batch = decode(BATCH_DECODER, record.value, "signal batch")
    except ContractError:  # the sink has made a dead letter of it
        return None
    signals = [
        signal
        for signal in batch.signals
        if signal.version is not None
        and signal.digest is not None
        and signal.value is not None
        and (heights is None or (signal.block_height is not None and signal.block_height in heights))
    ]
    if not signals:
        return None
    kept = SignalBatch(
        provider=batch.provider,
        symbol=batch.symbol,
        ts=batch.ts,
        signals=signals,
        correlation_id=batch.correlation_id,
    )
    return SinkRecord(record.partition, record.offset, kept, len(record.value or b""))


class Held:
    """Records read and not yet written, up to what a sink's worker writes at once."""

    def __init__(self, settings: Settings) -> None:
        self._most_signals = settings.sink_batch_signals
        self._most_bytes = settings.sink_batch_bytes
        self._records: list[SinkRecord] = []
        self._seen = self._signals = self._bytes = 0

    def add(self, record: SinkRecord | None) -> None:
        """One more; None counts as read."""
        self._seen += 1
        if record is not None:
            self._records.append(record)
            self._signals += len(record.batch.signals)
            self._bytes += record.size

    @property
    def full(self) -> bool:
        """Enough for a write, or at least for saying how far it is."""
        return max(self._seen, self._signals) >= self._most_signals or self._bytes >= self._most_bytes

    def take(self) -> list[SinkRecord]:
        """All of them; none are left."""
        records, self._records = self._records, []
        self._seen = self._signals = self._bytes = 0
        return records
