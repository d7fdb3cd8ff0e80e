"""Runs of a schedule's sources: raised where there is room, and owed where there is none until there is.

What is owed is bounded: of a source that coalesces one run, of another as many as are made up for at a time; the others
count as missed.
"""

from __future__ import annotations

from collections.abc import Callable

from heliograph._core.schedule.schedule import MAX_CATCH_UP_RUNS, ClockReading, Schedule
from heliograph.models import Trigger

_RETRY_INTERVAL = 0.05
"""Seconds until a signal that found its queue full is tried again."""


class PendingRuns:
    """Raises the signals of a schedule's sources. No clock: each call is told the time."""

    def __init__(
        self, schedule: Schedule, send_signal: Callable[[int], bool], is_queued: Callable[[int], bool]
    ) -> None:
        """`raise_signal(num)` says whether there was room.

        `is_waiting(num)` says whether a signal has not been taken yet: then another run would add nothing.
        """
        self._schedule = schedule
        self._send = send_signal
        self._is_queued = is_queued
        self._deferred: dict[str, int] = {}

    @property
    def deferred(self) -> tuple[str, ...]:
        """The sources whose runs wait for room."""
        return tuple(self._deferred)

    def wait(self, now: ClockReading) -> float:
        """Seconds until `tick` is due at the latest; infinite if never."""
        return min(self._schedule.wait(now), _RETRY_INTERVAL if self._deferred else float("inf"))

    def tick(self, now: ClockReading) -> list[Trigger]:
        """Raise what is owed, then what is due; return whose time had come."""
        owed, self._deferred = self._deferred, {}
        for name, times in owed.items():
            entry = self._schedule.entry(name)
            if entry is not None:
                self._fire(entry.trigger, times)
        due = self._schedule.due(now)
        for firing in due:
            self._fire(firing.trigger, firing.times)
        return [firing.trigger for firing in due]

    def add(self, name: str) -> None:
        """One run beside the schedule, now: what the source watches has changed."""
        entry = self._schedule.entry(name)
        if entry is not None:
            entry.fired += 1
            self._fire(entry.trigger, 1)

    def forget(self, name: str) -> None:
        """Owe nothing to this source."""
        self._deferred.pop(name, None)

    def _fire(self, trigger: Trigger, times: int) -> None:
        for left in range(times, 0, -1):
            if trigger.coalesce and (trigger.name in self._deferred or self._is_queued(trigger.num)):
                self._schedule.count_missed(trigger.name)
            elif trigger.name in self._deferred or not self._send(trigger.num):
                self._defer(trigger, left)
                return

    def _defer(self, trigger: Trigger, times: int) -> None:
        owed = self._deferred.get(trigger.name, 0) + times
        most = 1 if trigger.coalesce else MAX_CATCH_UP_RUNS
        self._deferred[trigger.name] = min(owed, most)
        self._schedule.count_missed(trigger.name, max(0, owed - most))
