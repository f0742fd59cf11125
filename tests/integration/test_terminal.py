"""SIGHUP has settings read again; when it says that the terminal is gone, the program ends."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.processes import ROOT

PROGRAM = """
import fcntl, sys, termios, time
fcntl.ioctl(0, termios.TIOCSCTTY)
from app.config import Settings
from app.process_signals import hangups
from app.reload import Reloader
reloader = Reloader(Settings())
with hangups() as asked:
    print("ready", flush=True)
    while True:
        if asked.take():
            reloader.hangup()
            print("goes on", flush=True)
        time.sleep(0.01)
"""


START = """
import os, signal, sys
signal.signal(signal.SIGHUP, getattr(signal, sys.argv[1]))
os.execv(sys.executable, [sys.executable, "-c", sys.argv[2]])
"""
"""What this process does with SIGHUP is inherited, and earlier tests may have changed it."""


@contextmanager
def started(terminal: int, hangup: str) -> Iterator["subprocess.Popen[str]"]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SIGSTREAM_")}
    with subprocess.Popen(
        [sys.executable, "-c", START, hangup, PROGRAM],
        stdin=terminal,
        stdout=subprocess.PIPE,
        start_new_session=True,
        cwd=ROOT,
        env={**kept, "PYTHONPATH": str(ROOT)},
        text=True,
    ) as program:
        os.close(terminal)
        try:
            yield program
        finally:
            program.kill()


@pytest.mark.parametrize("hangup", ["SIG_DFL", "SIG_IGN"])
def test_a_terminal_that_closes_ends_what_a_hangup_does_not(hangup: str) -> None:
    """Unless it was started to outlive its terminal."""
    ours, theirs = pty.openpty()
    with started(theirs, hangup) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        program.send_signal(signal.SIGHUP)
        assert program.stdout.readline() == "goes on\n"
        os.close(ours)
        if hangup == "SIG_IGN":
            assert program.stdout.readline() == "goes on\n"
        else:
            assert program.wait(30) == -signal.SIGHUP
            assert program.stdout.read() == ""
