"""A receiver that runs in a thread of a web worker, whose main thread answers requests.

Whenever this thread wakes, it takes the interpreter's lock from a thread that answers a request, which costs more than
most handlers. So if signals arrive at a high rate, the receiver handles them in groups: it pauses, and then handles all
that have arrived in the meantime. A signal that arrives alone is handled at once.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from heliograph._core.signals.records import DONE
from heliograph._core.tolerant_logging import tolerant_logger
from heliograph.engines.local.receiver import Receiver
from heliograph.interfaces import Handler, HandlerInterrupted

_LOG = tolerant_logger("heliograph.local")

GROUP_PAUSE = 0.005
"""Seconds between two groups. A thread waits as long for another one that computes (`sys.getswitchinterval`)."""
_MANY, _MANY_WITHIN = 16, 0.032
"""So many times within so many seconds must the receiver wake before it pauses: 500 signals per second."""
_FULL_GROUP = 32
"""Signals in a group after which the receiver does not pause, since more of them may be queued."""

_EXIT_GRACE = 1.0
"""Seconds that a process has to exit by itself after its event loop has stopped."""


class ThreadReceiver(Receiver):
    """Handles no Unix signals, and ends the process only by SIGTERM, so that the web server can shut it down."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.on_end: Callable[[], None] = lambda: None
        """Called in this thread after the last handler."""
        self._finished = threading.Event()
        self._sleep: Callable[[float], object] = time.sleep
        self._in_groups = False
        self._wakes, self._counted_since = 0, 0.0
        self._fetched = 0

    def finish(self, timeout: float) -> None:
        """Fetch no more signals, and wait at most `timeout` seconds until the running handler has returned."""
        self.drain()
        self._finished.wait(timeout)

    def run(self) -> None:
        try:
            while not self._done():
                self._receive()
        except BaseException:  # noqa: BLE001 - an exception that would end any other process ends this one, too
            _LOG.exception("Stopping process %d: a handler raised an exception that ends its process", os.getpid())
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            if not self._abandoned:
                self.on_end()
            self._finished.set()

    def _receive(self) -> None:
        try:
            self._take_signals()
        except HandlerInterrupted:
            # The records in flight are for the successor. If this process runs on nonetheless, it handles them itself.
            self._next = 0
            time.sleep(_EXIT_GRACE)

    def _run_once(self, timeout: float, only: int = 0) -> None:
        grouped = self._in_groups and not only and not self._threads.count
        if grouped and timeout and self._fetched < _FULL_GROUP:
            self._sleep(GROUP_PAUSE if timeout < 0 else min(GROUP_PAUSE, timeout))
            if self._done():
                return
            timeout = 0
        self._fetched = 0
        super()._run_once(timeout, only)
        if grouped:
            self._in_groups = self._fetched > 1
        else:
            self._count_wakes()

    def _count_wakes(self) -> None:
        self._wakes += 1
        if self._wakes == _MANY:
            now = time.monotonic()
            self._in_groups = now - self._counted_since < _MANY_WITHIN
            self._wakes, self._counted_since = 0, now

    def _run_in_flight(self, most: int = 0) -> None:
        self._fetched += self._end - self._next
        super()._run_in_flight(most)

    def _run_fast(self) -> None:
        self._fetched += self._end - self._next
        super()._run_fast()

    def _run_limited(self, offset: int, handler: Handler, limit: float) -> Exception | None:
        """Run a handler under a time limit. If it exceeds the limit, the process ends after the running requests."""
        running = threading.Lock()
        timer = threading.Timer(min(limit, threading.TIMEOUT_MAX), self._give_up, (offset, limit, running))
        timer.daemon = True
        timer.start()
        try:
            return handler(self._in_flight[offset + 1])
        finally:
            timer.cancel()
            running.acquire()  # for good, or the timer has it

    def _give_up(self, offset: int, limit: float, running: threading.Lock) -> None:
        """Give up the handler of a record. `running` can be acquired unless the handler has returned."""
        if not running.acquire(blocking=False):
            return  # it returned at the last moment, and another record may be at this offset now
        num = self._in_flight[offset + 1]
        self._in_flight[offset] = DONE
        self._slot.failed[num] += 1
        running.release()
        self.drain()
        self._finished.set()  # nothing waits for this handler any more
        _LOG.error(
            "Stopping process %d: the handler of signal %d exceeded its time limit of %g s", os.getpid(), num, limit
        )
        os.kill(os.getpid(), signal.SIGTERM)
