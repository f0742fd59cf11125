"""What programs do with the signals they get."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


def has_terminal() -> bool:
    """Whether the terminal that this program was started from, if from any, is there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def end_by_hangup() -> None:
    """As a program ends that knows nothing of SIGHUP."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGHUP)


class Hangups:
    """SIGHUPs that came. A plain field: an Event's lock may be held where the handler interrupts."""

    def __init__(self) -> None:
        self._came = False

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._came = True

    def take(self) -> bool:
        """Whether one came since the last time."""
        came, self._came = self._came, False
        return came


@contextmanager
def hangups() -> Iterator[Hangups]:
    """Within, SIGHUP is noted."""
    found = Hangups()
    before = signal.signal(signal.SIGHUP, found._note)
    try:
        yield found
    finally:
        signal.signal(signal.SIGHUP, before)


@contextmanager
def stop_signals(hurry: Callable[[], None]) -> Iterator[threading.Event]:
    """Within: the first SIGINT or SIGTERM raises KeyboardInterrupt; once the event is set, `hurry`."""
    stopping = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        if stopping.is_set():
            hurry()
        else:
            stopping.set()
            raise KeyboardInterrupt

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
