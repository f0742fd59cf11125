"""A call's time limit, wherever in the call its end comes."""

import signal
import time

import pytest

from app.errors import BudgetExceeded
from app.processors.budget import within


def spin(seconds: float) -> str:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    return "done"


def test_a_call_that_takes_longer_is_interrupted() -> None:
    with pytest.raises(BudgetExceeded, match=r"not done after 0\.01 s"):
        within(0.01, lambda: spin(60))


def test_a_limit_that_is_over_at_the_very_end_leaves_nothing_behind() -> None:
    """A timer that stays ends the process, once Python has taken its handlers away."""
    outcomes = set()
    for number in range(4000):
        try:
            outcomes.add(within(0.0003, lambda: spin(0.0003 * (0.98 + 0.04 * (number % 50) / 50))))  # noqa: B023
        except BudgetExceeded:
            outcomes.add("interrupted")
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert outcomes == {"done", "interrupted"}
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
