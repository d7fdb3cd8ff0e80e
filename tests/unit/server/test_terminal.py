"""A hangup of the terminal, as opposed to a SIGHUP that someone sent."""

import os
import pty
import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, sys
if sys.argv[1] == "nohup":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
from heliograph.server.terminal import Terminal
terminal = Terminal()
signal.signal(signal.SIGHUP, lambda *_: None)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
before = terminal.on_hangup()
os.write(3, b"started")
signal.sigwait([signal.SIGHUP])
os.write(3, f"{before} {terminal.on_hangup()} {terminal.on_hangup()} {terminal.survives}".encode())
"""


@pytest.mark.parametrize(("how", "survives"), [("plain", "False"), ("nohup", "True")])
def test_the_terminal_is_closed_once(how, survives):
    """SIGHUP before and after it is not the hangup."""
    read, write = os.pipe()
    leader, follower = pty.openpty()
    program = (
        "import fcntl, os, sys, termios\n"
        "os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.dup2(int(sys.argv[2]), 3)\n" + PROGRAM
    )
    command = [sys.executable, "-c", program, how, str(write)]
    process = subprocess.Popen(command, stdin=follower, pass_fds=[write])
    os.close(follower)
    os.close(write)
    assert os.read(read, 100) == b"started"
    os.close(leader)
    assert os.read(read, 100).decode() == f"False True False {survives}"
    os.close(read)
    assert process.wait() == 0


def test_a_sighup_without_a_terminal_is_no_hangup():
    """A service has none."""
    program = "from heliograph.server.terminal import Terminal; print(Terminal().on_hangup())"
    command = [sys.executable, "-c", program]
    assert subprocess.check_output(command, start_new_session=True, stdin=subprocess.DEVNULL) == b"False\n"
