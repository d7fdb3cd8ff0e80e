"""An alarm of the kernel at a time of the wall clock. It also goes off when the clock is set, or after a suspend.

With it, a process that waits for a time of the wall clock need not look at the clock meanwhile. Python has
`os.timerfd_create` from 3.13 on, so this module calls the C library.
"""

from __future__ import annotations

import ctypes
import errno
import math
import os
import time

_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_ABSOLUTE, _CANCEL_ON_SET = 1, 2
"""`TFD_TIMER_ABSTIME` and `TFD_TIMER_CANCEL_ON_SET` of `<sys/timerfd.h>`."""
_BILLION = 1_000_000_000
_FAR = 1 << 40
"""Seconds since 1970, for a time that is further away."""


class _Setting(ctypes.Structure):
    """`struct itimerspec`: the interval, and the first time. 0, 0: none."""

    _fields_ = (
        ("interval_seconds", ctypes.c_long),
        ("interval_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )


class ClockWatch:
    """A descriptor that becomes readable at the time that was set last, and when the clock is set."""

    def __init__(self) -> None:
        """Open the descriptor. Raises: OSError: the kernel has no descriptor for it."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.timerfd_create(time.CLOCK_REALTIME, _FLAGS)
        if self._fd < 0:
            raise _last_error()
        self._set_to = math.inf

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def set(self, when: float) -> None:
        """Become readable at `when`, in seconds since 1970. Infinity: never. Setting the same time again is free."""
        if when == self._set_to:
            return
        setting = _Setting()
        if when < math.inf:
            setting.seconds, setting.nanoseconds = divmod(max(1, int(min(when, _FAR) * _BILLION)), _BILLION)
        if self._libc.timerfd_settime(self._fd, _ABSOLUTE | _CANCEL_ON_SET, ctypes.byref(setting), None) < 0:
            raise _last_error()
        self._set_to = when

    def read(self) -> bool:
        """Read what has happened. Return True if the clock was set. Call `set` again afterwards."""
        self._set_to = math.nan
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.ECANCELED:
                raise
            return True
        return False

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._fd)


def _last_error() -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code))
