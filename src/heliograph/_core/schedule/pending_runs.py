"""Runs of the triggers of a schedule. Runs that find their queue full are deferred until there is space.

Each trigger has a bounded number of deferred runs: one if it coalesces, else `MAX_CATCH_UP_RUNS`. Further runs count as
missed.
"""

from __future__ import annotations

from collections.abc import Callable

from heliograph._core.schedule.schedule import MAX_CATCH_UP_RUNS, ClockReading, Schedule
from heliograph.models import Trigger

_RETRY_INTERVAL = 0.05
"""Seconds until a deferred run is tried again."""


class PendingRuns:
    """Sends the signals of the triggers of a schedule. It reads no clock: each call gets the time."""

    def __init__(
        self, schedule: Schedule, send_signal: Callable[[int], bool], is_queued: Callable[[int], bool]
    ) -> None:
        """`send_signal(num)` sends a signal, or returns False if its queue is full. It does not block.

        `is_queued(num)` returns True if a signal is still queued, so that another run would add nothing.
        """
        self._schedule = schedule
        self._send = send_signal
        self._is_queued = is_queued
        self._deferred: dict[str, int] = {}

    @property
    def deferred(self) -> tuple[str, ...]:
        """Names of the triggers that have deferred runs."""
        return tuple(self._deferred)

    def wait(self, now: ClockReading) -> float:
        """Return the seconds until `tick` is due. Infinite if there is nothing to wait for."""
        return min(self._schedule.wait(now), _RETRY_INTERVAL if self._deferred else float("inf"))

    def tick(self, now: ClockReading) -> list[Trigger]:
        """Send the deferred runs, then the runs that are due. Return the triggers that were due."""
        deferred, self._deferred = self._deferred, {}
        for name, times in deferred.items():
            entry = self._schedule.entry(name)
            if entry is not None:
                self._fire(entry.trigger, times)
        due = self._schedule.due(now)
        for firing in due:
            self._fire(firing.trigger, firing.times)
        return [firing.trigger for firing in due]

    def add(self, name: str) -> None:
        """Add one run now, outside the schedule: the path of a file monitor changed."""
        entry = self._schedule.entry(name)
        if entry is not None:
            entry.fired += 1
            self._fire(entry.trigger, 1)

    def forget(self, name: str) -> None:
        """Drop the deferred runs of a trigger."""
        self._deferred.pop(name, None)

    def _fire(self, trigger: Trigger, times: int) -> None:
        for left in range(times, 0, -1):
            if trigger.coalesce and (trigger.name in self._deferred or self._is_queued(trigger.num)):
                self._schedule.count_missed(trigger.name)
            elif trigger.name in self._deferred or not self._send(trigger.num):
                self._defer(trigger, left)
                return

    def _defer(self, trigger: Trigger, times: int) -> None:
        deferred = self._deferred.get(trigger.name, 0) + times
        most = 1 if trigger.coalesce else MAX_CATCH_UP_RUNS
        self._deferred[trigger.name] = min(deferred, most)
        self._schedule.count_missed(trigger.name, max(0, deferred - most))
