"""Checks if all queues are empty, only while the server stops."""

from __future__ import annotations

from collections.abc import Callable

from heliograph._core.supervision.events import Idle
from heliograph.loop import NEVER, Service
from heliograph.models import Identity
from heliograph.server.dispatcher import Dispatcher

IDLE_POLL_INTERVAL = 0.02
"""Seconds between two checks."""


class IdlePoll(Service):
    """Sends `Idle` to the supervisor when nothing is queued or in flight."""

    def __init__(self, dispatcher: Dispatcher, is_idle: Callable[[frozenset[Identity]], bool]) -> None:
        """`is_idle` gets the processes whose queues do not count."""
        self._dispatcher = dispatcher
        self._is_idle = is_idle
        self._next_at = -NEVER

    @property
    def deadline(self) -> float:
        return self._next_at if self._dispatcher.supervisor.draining_queues else NEVER

    def tick(self, now: float) -> None:
        self._next_at = now + IDLE_POLL_INTERVAL
        supervisor = self._dispatcher.supervisor
        if supervisor.draining_queues and self._is_idle(supervisor.vacant_workers):
            self._dispatcher.handle(Idle(), now)
