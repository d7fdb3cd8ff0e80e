"""Passes events to the supervisor, and its actions to the functions that carry them out."""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from heliograph._core.supervision.actions import Action
from heliograph._core.supervision.events import Due, Event
from heliograph._core.supervision.supervisor import Supervisor
from heliograph.loop import Service
from heliograph.server.commands import policies
from heliograph.settings.options import ServerSettings

_LOG = logging.getLogger("heliograph.master")

A = TypeVar("A")


class Dispatcher(Service):
    """The supervisor as a service, with a table of the functions that carry out each type of action."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self._table: dict[type[Any], list[Callable[[Any], None]]] = {}
        self._observers: list[Callable[[Event], None]] = []
        self._events: deque[tuple[Event, float]] = deque()
        self._busy = False

    def on(self, action: type[A], carry_out: Callable[[A], None]) -> None:
        """Call `carry_out` with each action of that type. Several functions are called in the order of registration."""
        self._table.setdefault(action, []).append(carry_out)

    def observe(self, observer: Callable[[Event], None]) -> None:
        """Call `observer` with each event, after its actions were carried out."""
        self._observers.append(observer)

    def handle(self, event: Event, now: float) -> None:
        """Let the supervisor decide, and carry out its actions.

        An event that comes up in the meantime, for example because a command cannot be started, is handled afterwards.
        """
        self._events.append((event, now))
        if self._busy:
            return
        self._busy = True
        try:
            while self._events:
                self._handle(*self._events.popleft())
        finally:
            self._busy = False

    @property
    def deadline(self) -> float:
        return self.supervisor.deadline

    def tick(self, now: float) -> None:
        self.handle(Due(), now)

    def close(self) -> None:
        """Forget the functions. They refer to the dispatcher, and would keep the shared memory mapped for a while."""
        self._table.clear()
        self._observers.clear()

    def _handle(self, event: Event, now: float) -> None:
        for action in self.supervisor.handle(event, now):
            self._carry_out(action)
        for observer in self._observers:
            _guarded(observer, event)

    def _carry_out(self, action: Action) -> None:
        for carry_out in self._table.get(type(action), ()):
            _guarded(carry_out, action)


def _guarded(function: Callable[[A], None], argument: A) -> None:
    """Log an error instead of raising it: the other actions must be carried out too."""
    try:
        function(argument)
    except Exception:  # noqa: BLE001 - logged
        _LOG.exception("Cannot carry out %s", argument)


def make_supervisor(settings: ServerSettings) -> Supervisor:
    """Return the supervisor of a server that has not started yet."""
    return Supervisor(
        settings.topology,
        settings.graceful_timeout,
        policies(settings),
        expected_workers=settings.expected_workers,
        max_age=settings.max_age,
        jitter=random.random,
    )
