"""Signals on the wire: `signals.raw` (SignalBatch or one flat signal) and `signals` (SignalBatch)."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import msgspec

MAX_NAMES = 1000
"""Most signals in one record."""
MAX_METADATA_BYTES = 64_000

Time = Annotated[datetime, msgspec.Meta(tz=True)]
"""RFC 3339 with a time zone."""
Count63 = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""What Kafka, and every store, counts to."""


Text = Annotated[str, msgspec.Meta(max_length=1024)]
CorrelationId = Annotated[str, msgspec.Meta(max_length=256)]
"""Longer ones would not fit the header of the same name."""


class Signal(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One named value. Identity is the batch's `(provider, symbol, ts)` and `name`."""

    name: str
    value: float | None = None
    """None only where the producer sent null: JSON has no NaN, and dedupe refuses it."""
    score: float | None = None
    signal_type: Text | None = None
    """mempool, exchange, miner, whale, treasury, predictive, or any other."""
    block_height: Count63 | None = None
    block_hash: Text | None = None
    block_time: Time | None = None
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    metadata: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """A JSON object, as bytes; sorted by key once it has passed dedupe. UNSET: there is none (msgspec
    can't tell a raw null from None)."""
    version: Count63 | None = None
    """Larger wins; default: see `keys.version_of`. Always set behind dedupe."""
    created_at: Time | None = None
    first_seen_at: Time | None = None
    signal_id: Text | None = None
    """Ignored when read: it follows from the key."""
    correlation_id: CorrelationId | None = None
    retracted_at: Time | None = None
    """Set: the signal is taken back."""
    canonical_key: Text | None = None
    """Case-sensitive name of the instrument, where `symbol` loses something."""
    outcome: Text | None = None
    digest: int | None = None
    """What `app.dedupe.digest_of` makes of the content; written by dedupe, ignored on `signals.raw`."""

    def metadata_text(self) -> str | None:
        """The metadata as JSON text; None without any."""
        return None if self.metadata is msgspec.UNSET else bytes(self.metadata).decode()


class SignalBatch(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """The signals of one `(provider, symbol, ts)`; on `signals` all three are canonical."""

    provider: str
    symbol: str
    ts: str
    signals: list[Signal]
    correlation_id: CorrelationId | None = None


class RawRecord(Signal, kw_only=True, omit_defaults=True, gc=False):
    """A record of `signals.raw` before it is known which of both shapes it has."""

    name: str = ""
    provider: str
    symbol: str
    ts: str
    signals: list[Signal] | None = None


RAW_DECODER = msgspec.json.Decoder(RawRecord)
BATCH_DECODER = msgspec.json.Decoder(SignalBatch)
ENCODER = msgspec.json.Encoder()


def names(batch: SignalBatch) -> Iterator[str]:
    """Names of the batch's signals, in its order."""
    return (signal.name for signal in batch.signals)
