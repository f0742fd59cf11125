"""What only warms up is not sent, and versions count from where they are told."""

from app.model.signal import Signal, SignalBatch
from app.pipeline.emission import emitted, event_version
from app.streaming.record import Record


def batch(*heights: int | None) -> SignalBatch:
    signals = [Signal(name=f"n{n}", value=1.0, block_height=height) for n, height in enumerate(heights)]
    return SignalBatch(provider="p", symbol="BTC", ts="t", signals=signals)


def test_blocks_below_are_left_out() -> None:
    found = list(emitted([batch(8, 8), batch(9), batch(), batch(10, 11)], 9))
    assert [[signal.block_height for signal in one.signals] for one in found] == [[9], [10, 11]]


def test_by_default_everything_is_sent() -> None:
    assert list(emitted([batch(0), batch(None)], 0)) == [batch(0), batch(None)]


def test_versions_grow_with_the_offset() -> None:
    record = Record("ns.block-features", 0, 1234, 1_700_000_000_000, b"", b"", {})
    assert event_version(record, None) == 1_700_000_000_000_234
    assert event_version(record, 5_000_000) == 5_001_234
