"""Values in bins that grow with them: compact enough to keep one histogram a block. Pure.

Each doubling is cut in four equal parts, so a bin is 14 to 25 % of its value wide; values below 8
have bins of their own. Integer arithmetic only: the same bins everywhere.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate, zip_longest

from app.model.features import Histogram


def bin_of(value: int) -> int:
    """Number of the bin that holds `value`, which is not negative."""
    octave = value.bit_length() - 3
    return value if octave <= 0 else (octave << 2) + (value >> octave)


def lower_edge(number: int) -> int:
    """Smallest value in bin `number`."""
    if number < 8:
        return number
    octave = (number - 4) >> 2
    return (number - (octave << 2)) << octave


def histogram(values: Iterable[int]) -> Histogram:
    """Counts and sums of the positive ones of `values`."""
    found: dict[int, list[int]] = {}
    for value in values:
        if value > 0:
            entry = found.setdefault(bin_of(value), [0, 0])
            entry[0] += 1
            entry[1] += value
    if not found:
        return Histogram()
    first = min(found)
    bins = [found.get(number, (0, 0)) for number in range(first, max(found) + 1)]
    return Histogram(first, [count for count, _ in bins], [total for _, total in bins])


def top_edge(parts: Sequence[tuple[int, Sequence[int]]], share: float) -> tuple[int, int]:
    """The lowest edge of a bin that at most `share` of all values reach, and how many values there are.

    `share`: 0..1, 1 left out. `parts`: histograms, as (first bin, counts). (0, 0) without any value.
    """
    lowest = min((first for first, counts in parts if counts), default=0)
    merged = _merge(parts, lowest)
    total = sum(merged)
    if not total:
        return 0, 0
    reached = accumulate(reversed(merged))
    below = next(place for place, count in enumerate(reached) if count > share * total)
    return lower_edge(lowest + len(merged) - below), total


def _merge(parts: Iterable[tuple[int, Sequence[int]]], lowest: int) -> list[int]:
    """Sums bin by bin, the first of them that of bin `lowest`."""
    padded = ([0] * (first - lowest) + [*counts] for first, counts in parts if counts)
    return [sum(column) for column in zip_longest(*padded, fillvalue=0)]


def from_edge(found: Histogram, edge: int) -> tuple[int, int]:
    """Count and sum (sat) of the values of at least `edge`, a bin's lower edge."""
    start = max(0, bin_of(edge) - found.first)
    return sum(found.counts[start:]), sum(found.sums_sat[start:])
