"""Threads that wait for a signal, besides the one that receives signals."""

from __future__ import annotations

import threading

from heliograph.exceptions import WaitTimeout
from heliograph.models import SIGNALS


class ThreadWaiters:
    """The waiting threads of a process. The thread that receives signals notifies them."""

    def __init__(self) -> None:
        self.count = 0
        """Number of threads that wait now."""
        self._arrived = threading.Condition()
        self._arrivals = [0] * SIGNALS

    def wait(self, num: int | None, timeout: float | None) -> int:
        """Wait until the handler of the signal `num`, or of any signal, has run. Return its number.

        Raises:
            WaitTimeout: after `timeout` seconds.
        """
        with self._arrived:
            self.count += 1
            before = list(self._arrivals)
            candidates = range(SIGNALS) if num is None else (num,)

            def arrived() -> list[int]:
                return [n for n in candidates if self._arrivals[n] > before[n]]

            try:
                found = self._arrived.wait_for(
                    arrived, None if timeout is None else min(timeout, threading.TIMEOUT_MAX)
                )
            finally:
                self.count -= 1
        if not found:
            raise WaitTimeout(num, timeout or 0.0)
        return found[0]

    def notify(self, num: int) -> None:
        """Tell the threads that the handler of a signal has run."""
        with self._arrived:
            self._arrivals[num] += 1
            self._arrived.notify_all()
