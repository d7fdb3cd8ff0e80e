"""SIGTERM in a process that receives signals: it drains the process, whatever the application's handlers do with it.

asyncio removes the handler for SIGTERM if a loop had one of its own. Other code ignores or blocks Unix signals and does
not restore them.
"""

from __future__ import annotations

import importlib
import itertools
import signal
from collections.abc import Callable
from typing import Any

from heliograph.ipc.stack_files import STACK_SIGNAL
from heliograph.ipc.time_limit import LIMIT_SIGNAL

_SIGNAL: Any = importlib.import_module("_signal")
SIGTERM = int(signal.SIGTERM)
"""A plain number: each conversion of the enum takes a third of the time of `handler_of`."""
handler_of: Callable[[int], object] = _SIGNAL.getsignal
"""`signal.getsignal` without the conversion to enums, which takes ten times as long."""
_sigmask: Callable[[int, tuple[int, ...]], set[int]] = _SIGNAL.pthread_sigmask

_ALWAYS_UNTIL, _LOOK_EVERY = 256, 64
_calls = itertools.count()
"""Calls of `keep_sigterm` in this process."""

OnSigterm = Callable[[int, Any], None]


def catch_sigterm(handler: OnSigterm, wakeup_fd: int) -> None:
    """Call `handler` at SIGTERM. `wakeup_fd` wakes the loop of the process."""
    signal.set_wakeup_fd(wakeup_fd, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, handler)


def keep_sigterm(handler: OnSigterm, wakeup_fd: int) -> None:
    """Catch SIGTERM again if the application has changed that, and unblock it. Call it before the loop waits.

    It asks the kernel for blocked signals at the first calls of the process and then at each 64th, since that takes as
    long as a fifth of a signal. A process that blocks SIGTERM between two of them is killed after the graceful timeout.
    """
    if handler_of(SIGTERM) is not handler:
        catch_sigterm(handler, wakeup_fd)
    call = next(_calls)
    if (call < _ALWAYS_UNTIL or not call % _LOOK_EVERY) and SIGTERM in _sigmask(signal.SIG_BLOCK, ()):
        let_sigterm_arrive()


def let_sigterm_arrive() -> None:
    """Let our Unix signals arrive also if the application has blocked all of them."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, LIMIT_SIGNAL, STACK_SIGNAL})
