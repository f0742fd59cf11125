"""Run a program that does not outlive the process that started it, not even one killed with SIGKILL.

This file is both the function that makes such a command and, run as a script, the small program in
between: it gives up root's rights where asked to, ties itself to its parent, and becomes the program.
"""

import ctypes
import os
import signal
import sys
import threading
from typing import NamedTuple

PR_SET_PDEATHSIG = 1


class User(NamedTuple):
    """Whom a program runs as."""

    uid: int
    gid: int


def leashed(
    command: list[str], *, death_signal: signal.Signals = signal.SIGKILL, user: User | None = None
) -> list[str]:
    """A command that runs `command` until it ends or, by `death_signal`, this process does.

    To be started from the main thread: Linux sends the signal when the *thread* that forked ends.
    Other systems than Linux have no such signal; there a program outlives a killed parent.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("servers and workers can only be started from the main thread")
    uid, gid = user or User(-1, -1)
    numbers = [str(int(n)) for n in (os.getpid(), death_signal, uid, gid)]
    # -I -S: nothing of the environment or of site-packages is imported, it starts in 15 ms.
    return [sys.executable, "-I", "-S", __file__, *numbers, *command]


def _become(numbers: list[int], command: list[str]) -> None:
    parent, death_signal, uid, gid = numbers
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the program asks for it: it would end by it
    libc = ctypes.CDLL(None)
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)  # a change of user would clear it: after it
    if os.getppid() != parent:
        sys.exit("the process that started this one is gone already")
    os.execvp(command[0], command)  # noqa: S606 - the arguments come from `leashed`


if __name__ == "__main__":
    _become([int(argument) for argument in sys.argv[1:5]], sys.argv[5:])
