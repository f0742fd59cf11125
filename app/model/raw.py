"""Reading of `signals.raw`: a batch or one flat signal, made canonical; bad signals set apart."""

from typing import Any

import msgspec

from app.errors import ContractError
from app.model.keys import canonical_symbol, canonical_ts, identifier
from app.model.signal import MAX_NAMES, RAW_DECODER, CorrelationId, RawRecord, Signal, SignalBatch
from app.model.wire import decode

WHAT = "signal batch"
NUL = b"\\u0000"
"""How JSON writes U+0000, which PostgreSQL can't store: it breaks the whole statement."""
_TEXTS = ("name", "signal_type", "block_hash", "correlation_id", "canonical_key", "outcome")


class _Envelope(msgspec.Struct):
    provider: str
    symbol: str
    ts: str
    signals: list[msgspec.Raw]
    correlation_id: CorrelationId | None = None


class _Name(msgspec.Struct):
    name: str


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_SIGNAL = msgspec.json.Decoder(Signal)
_NAME = msgspec.json.Decoder(_Name)


def read_raw(value: bytes | None, *, uppercase: bool = False) -> tuple[SignalBatch, dict[str, str]]:
    """The batch, with canonical provider, symbol and ts, and the names that can't be read, with reasons.

    Raises ContractError when there is no batch to speak of.
    """
    try:
        refused: dict[str, str] = {}
        batch = _whole(decode(RAW_DECODER, value, WHAT))
    except ContractError as error:
        batch, refused = _piecewise(value, error)
    if value is not None and NUL in value:
        _set_apart_nul(batch, refused)
    if len(batch.signals) > MAX_NAMES:
        raise ContractError(
            f"`signals` has {len(batch.signals)} entries: send at most {MAX_NAMES} in one record"
        )
    batch.provider = identifier("provider", batch.provider)
    batch.symbol = canonical_symbol(batch.symbol, uppercase=uppercase)
    batch.ts = canonical_ts(batch.ts)
    return batch, refused


def _whole(record: RawRecord) -> SignalBatch:
    signals = record.signals
    if signals is None:
        signals = [_flat(record)]
    return SignalBatch(
        provider=record.provider,
        symbol=record.symbol,
        ts=record.ts,
        signals=signals,
        correlation_id=record.correlation_id,
    )


def _flat(record: RawRecord) -> Signal:
    if not record.name:
        raise ContractError(f"{WHAT}: neither `signals` (a batch) nor `name` (one flat signal) is there")
    return Signal(**{field: getattr(record, field) for field in Signal.__struct_fields__})


def _piecewise(value: bytes | None, error: ContractError) -> tuple[SignalBatch, dict[str, str]]:
    """Each signal of a batch by itself; `error` again when it is not a batch."""
    try:
        envelope = _ENVELOPE.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise error from None
    good: list[Signal] = []
    refused: dict[str, str] = {}
    for index, raw in enumerate(envelope.signals):
        try:
            good.append(decode(_SIGNAL, bytes(raw), f"signals[{index}]"))
        except ContractError as reason:
            refused[_name_of(raw, index)] = str(reason)
    return SignalBatch(
        provider=envelope.provider,
        symbol=envelope.symbol,
        ts=envelope.ts,
        signals=good,
        correlation_id=envelope.correlation_id,
    ), refused


def _name_of(raw: Any, index: int) -> str:
    try:
        return _NAME.decode(raw).name
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"signals[{index}]"


def _set_apart_nul(batch: SignalBatch, refused: dict[str, str]) -> None:
    """Metadata is looked at when it is read."""
    good: list[Signal] = []
    for signal in batch.signals:
        field = next((field for field in _TEXTS if "\0" in (getattr(signal, field) or "")), None)
        if field is None:
            good.append(signal)
        else:
            refused[signal.name] = f"`{field}` holds U+0000, which PostgreSQL can't store: take it out"
    batch.signals = good
