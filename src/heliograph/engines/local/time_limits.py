"""Time limits of handlers: the kernel ends the process when the running handler exceeds its limit."""

from __future__ import annotations

import logging
import math
import time

from heliograph._core.signals.records import LIMITED_BYTE
from heliograph.interfaces import Handler
from heliograph.ipc.time_limit import LimitTimer

_LOG = logging.getLogger("heliograph.local")


class TimeLimits:
    """The time limit that ends first, of the handlers that run within each other in one thread."""

    def __init__(self, in_flight: memoryview) -> None:
        """`in_flight` is the buffer whose records are marked while a limit applies to them."""
        self._in_flight = in_flight
        self._current = (math.inf, 0)  # deadline, and offset of the record
        self._timer: LimitTimer | None = None
        self._abandoned = False

    def run(self, offset: int, handler: Handler, limit: float) -> Exception | None:
        """Run the handler of the record at `offset` under a limit of so many seconds.

        If the handler runs within a waiting one, the limit that ends first applies.
        """
        num = self._in_flight[offset + 1]
        outer = self._current
        deadline = time.monotonic() + limit
        if deadline >= outer[0]:
            return handler(num)
        self._set((deadline, offset))
        try:
            return handler(num)
        finally:
            self._set(outer)

    def abandon(self) -> None:
        """In a process that the application forked, leave the buffer to the parent."""
        self._abandoned = True

    def _set(self, limit: tuple[float, int]) -> None:
        """Let the kernel end this process at a deadline, because of the record at an offset. Deadline inf: do not."""
        if self._abandoned:
            return
        (_, before), (deadline, offset) = self._current, limit
        self._in_flight[before + LIMITED_BYTE] = 0
        if deadline < math.inf:
            self._in_flight[offset + LIMITED_BYTE] = 1
        self._current = limit
        try:
            if self._timer is None:
                self._timer = LimitTimer()
            self._timer.set(deadline)
        except OSError as error:
            _LOG.error("Running a handler without its time limit: %s", error)
