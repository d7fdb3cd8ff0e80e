"""Receivers for processes whose threads gevent has replaced: signals are received and handled in a greenlet.

In a web worker that greenlet runs on the same hub as the greenlets of the requests. In a mule it is the main one. It
waits on the hub.
"""

from __future__ import annotations

import contextlib
from typing import Any

from heliograph._core.tolerant_logging import tolerant_logger
from heliograph.engines.local.greenlets import gevent_module, is_patched
from heliograph.engines.local.limits import limited
from heliograph.engines.local.receiver import Receiver
from heliograph.engines.local.thread_receiver import ThreadReceiver
from heliograph.ipc.inherited import ProcessSettings

_LOG = tolerant_logger("heliograph.local")

_READ = 1
"""The event of a watcher: its descriptor can be read."""


def receiver_class(plain: type[Receiver], settings: ProcessSettings) -> type[Receiver]:
    """Return the class to use in this process: one with its limits, and one that does not block a hub of greenlets."""
    if is_patched():
        plain = GreenletReceiver if issubclass(plain, ThreadReceiver) else HubReceiver
    return limited(plain, settings.max_signals, settings.max_rss)


class HubReceiver(Receiver):
    """Waits on the hub, and lets the other greenlets run after each handler."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._gevent = gevent_module()
        self._hub = self._gevent.get_hub()
        self._readable = self._hub.loop.io(self._epoll.fileno(), _READ)
        self._poll = self._wait_on_hub
        self.measures.can_batch = False  # the other greenlets run between two handlers

    def abandon(self) -> None:
        """Stop for good: the hub of a forked process has this greenlet too."""
        super().abandon()
        self._draining = True
        self._readable.stop()

    def _wait_on_hub(self, timeout: float) -> list[tuple[int, int]]:
        found = self._epoll.poll(0)
        if found or not timeout:
            return found
        with self._gevent.Timeout(timeout, False) if timeout > 0 else contextlib.nullcontext():
            self._hub.wait(self._readable)
        return self._epoll.poll(0)

    def _handle(self, offset: int) -> None:
        num = self._in_flight[offset + 1]
        try:
            super()._handle(offset)
        except (self._gevent.Timeout, self._gevent.GreenletExit):  # no `Exception`, but they must not end the process
            _LOG.exception("Handler of signal %d failed", num)
        self._gevent.sleep(0)


class GreenletReceiver(HubReceiver, ThreadReceiver):
    """Waits on the hub of a web worker."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._sleep = self._gevent.sleep
