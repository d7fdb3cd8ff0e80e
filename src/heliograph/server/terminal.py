"""The terminal of a master, and its hangup."""

from __future__ import annotations

import os
import signal


class Terminal:
    """Tells a hangup of the terminal from a SIGHUP that someone sent. The kernel sends SIGHUP for both."""

    def __init__(self) -> None:
        """Call it before a handler for SIGHUP is installed: `nohup` lets a program ignore SIGHUP."""
        self._open = _in_foreground()
        self._survives = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN

    def on_hangup(self) -> bool:
        """Return True if the terminal was closed just now."""
        closed = self._open and not _exists()
        self._open = self._open and not closed
        return closed

    @property
    def survives(self) -> bool:
        """True if the server was started to run on after its terminal is closed."""
        return self._survives


def _in_foreground() -> bool:
    try:
        fd = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(fd)


def _exists() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
