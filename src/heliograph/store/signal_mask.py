"""Blocking the Unix signals of a thread.

`signal.pthread_sigmask` makes a set of enumerations, and `_signal.pthread_sigmask` one of integers. Either takes ten
times as long as the system call. A gate is entered and left for each task, so this calls the function of the C library.
"""

from __future__ import annotations

import ctypes
import signal

_BYTES = 128
"""Size of a `sigset_t`, in glibc and musl."""

_BLOCK, _SET = int(signal.SIG_BLOCK), int(signal.SIG_SETMASK)

_LIBC = ctypes.PyDLL(None)  # it keeps the interpreter lock: the calls never wait
_sigmask = _LIBC.pthread_sigmask
_ALL = ctypes.create_string_buffer(_BYTES)
_LIBC.sigfillset(_ALL)


class SignalMask:
    """The mask of one thread, which blocks all its signals for a while."""

    def __init__(self) -> None:
        self._before = ctypes.create_string_buffer(_BYTES)
        self._is_blocking = False

    def block(self) -> None:
        """Block all signals. The handler of an earlier signal may raise an exception here, before or after that."""
        _sigmask(_BLOCK, None, self._before)
        self._is_blocking = True
        _sigmask(_BLOCK, _ALL, None)

    def release(self) -> bool:
        """Return True if the signals are blocked, and `restore` is to be called. Only the first call returns True."""
        was_blocking, self._is_blocking = self._is_blocking, False
        return was_blocking

    def restore(self) -> None:
        """Set the mask from before `block`."""
        _sigmask(_SET, self._before, None)
