"""The fee histogram: every transaction in one bin, by its own fee rate."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.model.mempool import FEERATE_BINS, FeerateBin
from app.sources.mempool import histogram_of, sat_per_vb


@pytest.mark.parametrize(
    ("vsize", "fee_sat", "low"),
    [(200, 0, 0), (100, 100, 1), (1000, 999, 0.5), (100, 399, 3), (100, 400, 4), (1, 10**8, 2000)],
)
def test_a_transaction_is_in_the_bin_that_begins_at_or_below_its_rate(
    vsize: int, fee_sat: int, low: float
) -> None:
    assert histogram_of([(vsize, fee_sat)]) == [FeerateBin(low, vsize, fee_sat)]


def test_bins_are_weighted_by_vsize_and_ascend() -> None:
    found = histogram_of([(100, 1000), (141, 141), (300, 3003), (200, 210)])
    assert found == [FeerateBin(1.0, 341, 351), FeerateBin(10.0, 400, 4003)]


def test_an_empty_mempool_has_no_bins() -> None:
    assert histogram_of([]) == []


@given(st.lists(st.tuples(st.integers(61, 100_000), st.integers(0, 10**9))))
def test_nothing_is_lost(entries: list[tuple[int, int]]) -> None:
    found = histogram_of(entries)
    assert sum(b.vsize for b in found) == sum(vsize for vsize, _ in entries)
    assert sum(b.fee_sat for b in found) == sum(fee for _, fee in entries)
    lows = [b.feerate_low for b in found]
    assert lows == sorted(set(lows))


def test_the_edges_ascend_from_zero() -> None:
    assert list(FEERATE_BINS) == sorted(set(FEERATE_BINS))
    assert FEERATE_BINS[0] == 0


def test_a_bin_is_an_array_on_the_wire() -> None:
    assert msgspec.json.encode(FeerateBin(1.0, 341, 351)) == b"[1.0,341,351]"


@pytest.mark.parametrize(("btc_per_kvb", "rate"), [(0.00001, 1.0), (0.00012345, 12.345), (0.0000001, 0.01)])
def test_rates_of_core_are_exact_in_sat_per_vb(btc_per_kvb: float, rate: float) -> None:
    assert sat_per_vb(btc_per_kvb) == rate
