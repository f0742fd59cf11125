"""SIGHUP has settings read again; when it says that the terminal is gone, the program ends."""

import os
import pty
import signal
import subprocess
import sys

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


@pytest.mark.parametrize("nohup", [False, True])
def test_a_terminal_that_closes_ends_what_a_hangup_does_not(nohup: bool) -> None:
    """Unless it was started to outlive its terminal."""
    before = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh"] if nohup else []
    ours, theirs = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SIGSTREAM_")}
    with subprocess.Popen(
        [*before, sys.executable, "-c", PROGRAM],
        stdin=theirs,
        stdout=subprocess.PIPE,
        start_new_session=True,
        cwd=ROOT,
        env={**kept, "PYTHONPATH": str(ROOT)},
        text=True,
    ) as program:
        os.close(theirs)
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        program.send_signal(signal.SIGHUP)
        assert program.stdout.readline() == "goes on\n"
        os.close(ours)
        if nohup:
            assert program.stdout.readline() == "goes on\n"
            program.kill()
            return
        assert program.wait(30) == -signal.SIGHUP
        assert program.stdout.read() == ""
