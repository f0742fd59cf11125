"""One confidence for all signals."""

from math import exp

HIGH = 0.85
MEDIUM = 0.7


def confidence(z: float | None, *, blocks: int, window: int, quality: float) -> float:
    """`(1 - exp(-|z|)) x warm-up x quality`, 0..1.

    `z`: robust z of the value over the window, None where there is none (a constant, or too little
    history): 0. Warm-up: the share of the window that is there, `blocks` of `window`. `quality`: label
    quality x completeness.
    """
    if z is None:
        return 0.0
    return (1.0 - exp(-abs(z))) * min(1.0, blocks / window) * min(1.0, max(0.0, quality))


def bucket(value: float) -> str:
    """`high` from 0.85, `medium` from 0.7, else `low`."""
    if value >= HIGH:
        return "high"
    return "medium" if value >= MEDIUM else "low"
