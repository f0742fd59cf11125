"""Latencies of stages, from times."""

from datetime import UTC, datetime, timedelta

import pytest

from app.query.latency import Latency, latencies, percentiles

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """So long after the begin."""
    return BEGIN + timedelta(seconds=seconds)


def test_a_stage_counts_from_the_one_before_and_from_the_block() -> None:
    times = {
        "blocks": {"a": at(0)},
        "block-features": {"a": at(1)},
        "signals.raw": {"a": at(3)},
        "signals": {"a": at(6)},
        "sink.sqlite": {"a": at(7)},
        "sink.bigquery": {"a": at(10)},
        "signals.settled": {"a": at(11)},
    }
    assert latencies(times) == [
        Latency("block-features", 1, 1, 1, 1, 1),
        Latency("signals.raw", 1, 2, 2, 3, 3),
        Latency("signals", 1, 3, 3, 6, 6),
        Latency("sink.bigquery", 1, 4, 4, 10, 10),
        Latency("sink.sqlite", 1, 1, 1, 7, 7),
        Latency("signals.settled", 1, 1, 1, 11, 11),
    ]


def test_a_stage_that_no_block_reached_has_no_line() -> None:
    assert [line.stage for line in latencies({"blocks": {"a": at(0)}, "signals.raw": {"a": at(1)}})] == [
        "signals.raw"
    ]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], (0, 0)), ([3.0], (3, 3)), ([1.0, 2.0], (1.5, 1.95)), ([float(n) for n in range(101)], (50, 95))],
)
def test_percentiles(values: list[float], expected: tuple[float, float]) -> None:
    assert percentiles(values) == pytest.approx(expected)
