"""A limit on the time of a call, kept by the system's timer: a processor that hangs is interrupted."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from app.errors import BudgetExceeded


class _Expired(BaseException):
    """Passes an `except Exception` of the code that it interrupts."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise BudgetExceeded inside the block once `seconds` have passed.

    The timer's signal reaches Python code only, between two bytecodes: a call into C that does not come
    back is not interrupted. Code that catches it is interrupted again. Outside of the main thread, and on
    systems without SIGALRM, there is no limit.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def expire(_number: int, _frame: FrameType | None) -> None:
        raise _Expired

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds, max(seconds / 10, 0.01))
    try:
        yield
    except _Expired:
        raise BudgetExceeded(f"not done after {seconds:g} s") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
