"""Reports of the server's processes to the master: one line of JSON each, through a pipe that all of them write to."""

from __future__ import annotations

import json
import logging
import os
import selectors
from collections import deque
from collections.abc import Callable
from typing import Any

from heliograph.loop import Selector, Service

_LOG = logging.getLogger("heliograph.master")
_READ_BYTES = 65_536

Report = dict[str, Any]
Handler = Callable[[Report, float], None]
"""Called with a report and the time."""


class Reports(Service):
    """Reads reports and calls the handler of their kind."""

    def __init__(self, selector: Selector) -> None:
        self._selector = selector
        self._handlers: dict[str, Handler] = {}
        self._unread = b""
        self._lines: deque[bytes] = deque()
        self._read_fd, self.write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        selector.register(self._read_fd, selectors.EVENT_READ, self.read)

    def on(self, key: str, handler: Handler) -> None:
        """Call `handler` with the reports that contain `key`, unless they contain a key that was registered before."""
        self._handlers[key] = handler

    def close(self) -> None:
        self._selector.unregister(self._read_fd)
        for fd in (self._read_fd, self.write_fd):
            os.close(fd)

    def read(self, now: float) -> None:
        """Handle the reports that have come. Call it before an exit is handled: reports come before the exit."""
        try:
            chunk = os.read(self._read_fd, _READ_BYTES)
        except BlockingIOError:
            return
        *lines, self._unread = (self._unread + chunk).split(b"\n")
        self._lines += lines
        while self._lines:  # a handler may lead here, too
            self._handle(self._lines.popleft(), now)

    def _handle(self, line: bytes, now: float) -> None:
        """Handle a report. One that cannot be understood is logged, and does not affect the others."""
        try:
            report: Report = json.loads(line)
            handler = next(handler for key, handler in self._handlers.items() if key in report)
            handler(report, now)
        except Exception:  # noqa: BLE001 - logged
            _LOG.exception("Ignoring a report that cannot be handled: %r", line[:200])
