"""Time limits of tasks: a thread ends the process when an attempt exceeds its limit.

Rule
    The thread first notes the end of the attempt in the store, and then kills the process. So the attempt counts as a
    failed one, with the limit as its error, and not as a killed process. A C function that holds the interpreter lock
    stops that thread. One second after the limit, the kernel kills the process then, which counts as a killed process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from heliograph.ipc.time_limit import LimitTimer

_BACKSTOP = 1.0
"""Seconds from the limit to the kill by the kernel."""


class TimeLimits:
    """The time limits of the tasks that run in this process."""

    def __init__(self) -> None:
        self._timer: LimitTimer | None = None
        self._pid = 0

    @contextmanager
    def limited(self, seconds: float, exceeded: Callable[[], bool]) -> Generator[None]:
        """Run the block under a limit. After it, call `exceeded()` in a thread. If that is true, end this process."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        watch = threading.Timer(min(seconds, threading.TIMEOUT_MAX), _end, (exceeded, in_main_thread))
        watch.daemon = True
        watch.start()
        if in_main_thread:
            self._set_kernel_timer(time.monotonic() + seconds + _BACKSTOP)
        try:
            yield
        finally:
            watch.cancel()
            if in_main_thread:
                self._set_kernel_timer(float("inf"))

    def _set_kernel_timer(self, deadline: float) -> None:
        with contextlib.suppress(OSError):  # no timer is left for this user, so the thread has to do
            if self._timer is None or self._pid != os.getpid():
                self._timer, self._pid = LimitTimer(), os.getpid()
            self._timer.set(deadline)


def _end(exceeded: Callable[[], bool], in_main_thread: bool) -> None:
    """End this process. The requests of a web server, whose main thread runs no tasks, may finish first."""
    if exceeded():
        os.kill(os.getpid(), signal.SIGKILL if in_main_thread else signal.SIGTERM)
