"""Runs of the triggers of a schedule. Runs that find their queue full are deferred until there is space.

Each trigger has a bounded number of deferred runs: one if it coalesces, else `MAX_CATCH_UP_RUNS`. Further runs count as
missed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from heliograph._core.schedule.schedule import MAX_CATCH_UP_RUNS, ClockReading, Schedule
from heliograph._core.schedule.settling import Settling
from heliograph.models import CronRule, FileMonitor, Trigger

RETRY_INTERVAL = 0.05
"""Seconds until a deferred run is tried again."""
ABSENT_RETRY_INTERVAL = 60.0
"""Seconds until it is tried again if no process takes its signal now. It is tried soon after a process does."""


class PendingRuns:
    """Sends the signals of the triggers of a schedule. It reads no clock: each call gets the time."""

    def __init__(
        self,
        schedule: Schedule,
        send_signal: Callable[[int], bool],
        is_queued: Callable[[int], bool],
        has_receivers: Callable[[int], bool],
    ) -> None:
        """`send_signal(num)` sends a signal, or returns False if its queue is full. It does not block.

        `is_queued(num)` returns True if a signal is still queued, so that another run would add nothing.
        `has_receivers(num)` returns False if no process takes a signal now, for example because no worker is active.
        """
        self._schedule = schedule
        self._send = send_signal
        self._is_queued = is_queued
        self._has_receivers = has_receivers
        self._settling = Settling()
        self._deferred: dict[str, int] = {}
        self._deferred_since: dict[str, float] = {}
        self._retry_at = math.inf

    @property
    def deferred(self) -> tuple[str, ...]:
        """Names of the triggers that have deferred runs."""
        return tuple(self._deferred)

    def lateness(self, name: str, now: ClockReading) -> float | None:
        """Return the seconds for which a run of a trigger has been deferred. None: none is."""
        return now.monotonic - self._deferred_since[name] if name in self._deferred else None

    @property
    def settling(self) -> bool:
        """True if a path has changed and its run waits until it is quiet: see `change`."""
        return bool(self._settling)

    def wait(self, now: ClockReading) -> float:
        """Return the seconds until `tick` is due. Infinite if there is nothing to wait for."""
        if self._deferred:
            interval = RETRY_INTERVAL if self._may_succeed() else ABSENT_RETRY_INTERVAL
            self._retry_at = min(self._retry_at, now.monotonic + interval)
        settling = self._settling.wait(now.monotonic)
        return min(self._schedule.wait(now), settling, max(0.0, self._retry_at - now.monotonic))

    def tick(self, now: ClockReading) -> list[Trigger]:
        """Send the deferred runs, those of changed files, then the due runs. Return the triggers that were due."""
        deferred, self._deferred, self._retry_at = self._deferred, {}, math.inf
        for name, times in deferred.items():
            entry = self._schedule.entry(name)
            if entry is not None:
                self._fire(entry.trigger, times, now)
        for name in self._settling.take(now.monotonic):
            self.add(name, now)
        due = self._schedule.due(now)
        for firing in due:
            self._fire(firing.trigger, firing.times, now)
        return [firing.trigger for firing in due]

    def change(self, name: str, now: ClockReading) -> None:
        """Note that the path of a file monitor has changed. Its run is added when nothing more changes (`Settling`)."""
        entry = self._schedule.entry(name)
        settle = entry.trigger.spec.settle if entry is not None and isinstance(entry.trigger.spec, FileMonitor) else 0.0
        if settle:
            self._settling.add(name, settle, now.monotonic)
        else:
            self.add(name, now)

    def add(self, name: str, now: ClockReading) -> None:
        """Add one run now, outside the schedule: the path of a file monitor has changed."""
        entry = self._schedule.entry(name)
        if entry is not None:
            entry.fired += 1
            self._fire(entry.trigger, 1, now)

    def forget_change(self, name: str) -> None:
        """Drop the change of a file monitor that waits."""
        self._settling.forget(name)

    def forget(self, name: str) -> None:
        """Drop the deferred runs of a trigger."""
        self._deferred.pop(name, None)
        self._deferred_since.pop(name, None)
        if not self._deferred:
            self._retry_at = math.inf

    def _may_succeed(self) -> bool:
        """Return False if no process takes any of the deferred signals now. Then the queues need not be looked at."""
        entries = map(self._schedule.entry, self._deferred)
        return any(entry is None or self._has_receivers(entry.trigger.num) for entry in entries)

    def _fire(self, trigger: Trigger, times: int, now: ClockReading) -> None:
        for left in range(times, 0, -1):
            if trigger.coalesce and (trigger.name in self._deferred or self._is_queued(trigger.num)):
                # A timer has another run soon. A run of a rule that is queued for that long is not as its author meant.
                self._schedule.count_missed(trigger.name, at=now.wall if isinstance(trigger.spec, CronRule) else None)
            elif trigger.name in self._deferred or not self._send(trigger.num):
                self._defer(trigger, left, now)
                return
            else:
                self._deferred_since.pop(trigger.name, None)
                self._schedule.note_sent(trigger.name, now.wall)

    def _defer(self, trigger: Trigger, times: int, now: ClockReading) -> None:
        self._deferred_since.setdefault(trigger.name, now.monotonic)
        deferred = self._deferred.get(trigger.name, 0) + times
        most = 1 if trigger.coalesce else MAX_CATCH_UP_RUNS
        self._deferred[trigger.name] = min(deferred, most)
        if deferred > most:
            self._schedule.count_missed(trigger.name, deferred - most, now.wall)
