"""A limit on the time of a call, kept by the system's timer: a processor that hangs is interrupted."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

from app.errors import BudgetExceeded

T = TypeVar("T")


class _Expired(BaseException):
    """Passes an `except Exception` of the code that it interrupts."""


def within(seconds: float, call: Callable[[], T]) -> T:
    """What `call` returns; BudgetExceeded is raised inside it once `seconds` have passed.

    The timer's signal reaches Python code only, between two bytecodes: a call into C that does not come
    back is not interrupted. Code that catches it is interrupted again. Outside of the main thread, and on
    systems without SIGALRM, there is no limit.

    No context manager: the signal may come when its block has ended and its exit has not begun, and
    nobody would take the timer away (tests/unit/processors/test_budget.py).
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        return call()
    over = False

    def expire(_number: int, _frame: FrameType | None) -> None:
        if not over:
            raise _Expired

    before = signal.signal(signal.SIGALRM, expire)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, max(seconds / 10, 0.01))
        return call()
    except _Expired:
        over = True
        raise BudgetExceeded(f"not done after {seconds:g} s") from None
    finally:
        over = True
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
