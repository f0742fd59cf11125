"""What a sink asks of a record of `signals` before it takes it on."""

from app.errors import ContractError
from app.model.keys import canonical_symbol, canonical_ts, identifier
from app.model.signal import BATCH_DECODER, Signal, SignalBatch
from app.model.wire import decode

MOST = 2**63 - 1
"""What stores count to."""


def read_forwarded(value: bytes | None) -> SignalBatch:
    """The batch. Only dedupe writes to `signals`; what others put there may have no canonical key, and no
    version to compare by. Raises ContractError."""
    batch = decode(BATCH_DECODER, value, "signal batch")
    identifier("provider", batch.provider)
    canonical_symbol(batch.symbol)
    if canonical_ts(batch.ts) != batch.ts:
        raise ContractError(f"`ts` on `signals` is {batch.ts[:80]!r}, not as dedupe writes it: {_REMEDY}")
    for signal in batch.signals:
        if signal.version is None or signal.digest is None or signal.value is None:
            raise ContractError(
                f"signal {signal.name!r} on `signals` lacks value, version or digest: {_REMEDY}"
            )
        _check_text(signal)
        if not 0 <= signal.digest <= MOST:
            raise ContractError(
                f"signal {signal.name!r} on `signals`: `digest` is {signal.digest}, not of 63 bits: {_REMEDY}"
            )
    return batch


def _check_text(signal: Signal) -> None:
    """msgspec takes raw JSON as it is."""
    try:
        signal.metadata_text()
    except UnicodeDecodeError as error:
        name = signal.name
        raise ContractError(f"signal {name!r}: `metadata` is not UTF-8 ({error}): {_REMEDY}") from None


_REMEDY = "send it to signals.raw"
