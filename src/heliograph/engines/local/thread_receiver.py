"""A receiver that runs in a thread of a web worker, whose main thread answers requests."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

from heliograph._core.signals.records import DONE
from heliograph._core.tolerant_logging import tolerant_logger
from heliograph.engines.local.receiver import Receiver
from heliograph.interfaces import Handler, HandlerInterrupted

_LOG = tolerant_logger("heliograph.local")

_EXIT_GRACE = 1.0
"""Seconds that a process has to exit by itself after its event loop has stopped."""


class ThreadReceiver(Receiver):
    """Handles no Unix signals, and ends the process only by SIGTERM, so that the web server can shut it down."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._finished = threading.Event()

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
            self._finished.set()

    def _receive(self) -> None:
        try:
            self._take_signals()
        except HandlerInterrupted:
            # The records in flight are for the successor. If this process runs on nonetheless, it handles them itself.
            self._next = 0
            time.sleep(_EXIT_GRACE)

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
