"""A receiver in a thread of a process that has other work to do: requests."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from typing import Any

from heliograph._core.signals.records import DONE, RUNNING
from heliograph.engines.local.receiver import Receiver
from heliograph.interfaces import Handler, HandlerInterrupted

_LOG = logging.getLogger("heliograph.local")


_LAST_MOMENTS = 1.0
"""Seconds that a process whose event loop has ended is given to end itself."""


class ThreadReceiver(Receiver):
    """Takes no UNIX signals, and ends the process only as its server would have it end: by SIGTERM."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._finished = threading.Event()

    def finish(self, seconds: float) -> None:
        """Take no more signals, and give the handler that runs so many seconds to come to its end."""
        self.drain()
        self._finished.wait(seconds)

    def run(self) -> None:
        try:
            while not self._done():
                self._take_what_comes()
        except BaseException:  # noqa: BLE001 - S8: what would end a process ends this one too
            _LOG.exception("a handler ends process %d", os.getpid())
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            self._finished.set()

    def _take_what_comes(self) -> None:
        try:
            self._take_signals()
        except HandlerInterrupted:  # what is in hand is for a successor; for this process, should it go on nonetheless
            self._next = 0
            time.sleep(_LAST_MOMENTS)

    def _run_limited(self, offset: int, handler: Handler, limit: float) -> Exception | None:
        """Run a handler under a time limit: if it takes longer, requests may finish, and the process ends."""
        watch = threading.Timer(limit, self._give_up, (offset, limit))
        watch.daemon = True
        watch.start()
        try:
            return handler(self._in_flight[offset + 1])
        finally:
            watch.cancel()

    def _give_up(self, offset: int, limit: float) -> None:
        if self._in_flight[offset] != RUNNING:
            return  # it has finished in the last moment
        num = self._in_flight[offset + 1]
        self._in_flight[offset] = DONE
        self._slot.failed[num] += 1
        self.drain()
        self._finished.set()  # nobody waits for it
        _LOG.error("the handler of signal %d has taken %g s: process %d is told to end", num, limit, os.getpid())
        os.kill(os.getpid(), signal.SIGTERM)
