"""SIGTERM in a process that receives signals: it drains the process, whatever the application's handlers do with it.

asyncio removes the handler for SIGTERM if a loop had one of its own. Other code ignores or blocks Unix signals and does
not restore them.
"""

from __future__ import annotations

import importlib
import signal
from collections.abc import Callable
from typing import Any

from heliograph.ipc.time_limit import LIMIT_SIGNAL

_SIGNAL: Any = importlib.import_module("_signal")
SIGTERM = int(signal.SIGTERM)
"""A plain number: each conversion of the enum takes a third of the time of `handler_of`."""
handler_of: Callable[[int], object] = _SIGNAL.getsignal
"""`signal.getsignal` without the conversion to enums, which takes ten times as long."""
_sigmask: Callable[[int, tuple[int, ...]], set[int]] = _SIGNAL.pthread_sigmask

LOOK_AFTER, LOOK_EVERY = 0.05, 64
"""Seconds without a signal, and polls with signals, after which the process looks at SIGTERM."""

OnSigterm = Callable[[int, Any], None]
Poll = Callable[[float], list[tuple[int, int]]]
"""Waits for so many seconds (-1: no limit) and returns (descriptor, events) pairs."""


def catch_sigterm(handler: OnSigterm, wakeup_fd: int) -> None:
    """Call `handler` at SIGTERM. `wakeup_fd` wakes the loop of the process."""
    signal.set_wakeup_fd(wakeup_fd, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, handler)


def keep_sigterm(handler: OnSigterm, wakeup_fd: int) -> None:
    """Catch SIGTERM again if the application has changed that, and unblock it. Call it before the loop waits."""
    if handler_of(SIGTERM) is not handler:
        catch_sigterm(handler, wakeup_fd)
    if signal.SIGTERM in _sigmask(signal.SIG_BLOCK, ()):
        let_sigterm_arrive()


class SigtermPoll:
    """A poll that keeps SIGTERM caught while its process waits, whatever handlers have done with it.

    A look takes as long as a tenth of a signal. So it looks when nothing has arrived for a moment, and after some polls
    that found something, and it returns early, with nothing found, to wait on.
    """

    def __init__(self, poll: Poll, handler: OnSigterm, wakeup_fd: int) -> None:
        self._poll = poll
        self._handler = handler
        self._wakeup_fd = wakeup_fd
        self._unseen = 1
        """Polls since the last look that may have let handlers run."""

    def __call__(self, timeout: float) -> list[tuple[int, int]]:
        """Poll for at most `timeout` seconds. -1: no limit."""
        if self._unseen and not 0 <= timeout < LOOK_AFTER:
            timeout = LOOK_AFTER
        found = self._poll(timeout)
        if found:
            self._unseen += 1
        if self._unseen > LOOK_EVERY or (self._unseen and not found):
            keep_sigterm(self._handler, self._wakeup_fd)
            self._unseen = 1 if found else 0
        return found


def let_sigterm_arrive() -> None:
    """Let SIGTERM arrive also if the application has blocked all signals."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, LIMIT_SIGNAL})
