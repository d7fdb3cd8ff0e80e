"""A kernel timer that ends this process at a deadline, without the alarm signal and timer that applications use.

`timer_create(2)` makes its own timer, so it leaves SIGALRM and ITIMER_REAL to the application. The kernel sends the
signal even while Python code cannot run. A child process does not inherit the timer.
"""

from __future__ import annotations

import ctypes
import math
import os
import signal
import time

LIMIT_SIGNAL: int = signal.SIGRTMAX
"""Ends a process whose handler exceeds its time limit."""

_TIMER_ABSTIME = 1
_SIGEVENT_BYTES = 64
_FOREVER = 2.0**31 - 1
"""Seconds on the clock that every `time_t` takes."""


class _SigEvent(ctypes.Structure):
    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),  # 0: SIGEV_SIGNAL
        ("rest", ctypes.c_byte * _SIGEVENT_BYTES),
    )


class _TimerSpec(ctypes.Structure):
    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class LimitTimer:
    """A timer of this process. It sends LIMIT_SIGNAL, with its default action."""

    def __init__(self) -> None:
        """Make a timer that is not set.

        Raises:
            OSError: The kernel has no timer left for this user.
        """
        self._libc = _libc()
        self._timer = ctypes.c_void_p()
        event = _SigEvent(signo=LIMIT_SIGNAL)
        if self._libc.timer_create(time.CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(self._timer)):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def set(self, deadline: float) -> None:
        """Let the kernel end this process at `deadline` on the monotonic clock; inf: do not end it."""
        if deadline == math.inf:
            spec = _TimerSpec()
        else:
            signal.signal(LIMIT_SIGNAL, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (LIMIT_SIGNAL,))
            fraction, whole = math.modf(min(deadline, _FOREVER))
            spec = _TimerSpec(value_s=int(whole), value_ns=max(1, int(fraction * 1e9)))
        self._libc.timer_settime(self._timer, _TIMER_ABSTIME, ctypes.byref(spec), None)


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    # Before version 2.34 of glibc, the functions are in another library.
    return libc if hasattr(libc, "timer_create") else ctypes.CDLL("librt.so.1", use_errno=True)
