"""Runs of a schedule's sources: raised where there is room, and owed where there is none until there is.

What is owed is bounded: of a source that coalesces one run, of another as many as are made up for at a time; the others
count as missed.
"""

from __future__ import annotations

from collections.abc import Callable

from heliograph._core.schedule import MOST_AT_ONCE, Moment, Schedule
from heliograph.values import Source

_AGAIN = 0.05
"""Seconds until a signal that found its queue full is tried again."""


class Runs:
    """Raises the signals of a schedule's sources. No clock: each call is told the time."""

    def __init__(
        self, schedule: Schedule, raise_signal: Callable[[int], bool], is_waiting: Callable[[int], bool]
    ) -> None:
        """`raise_signal(num)` says whether there was room.

        `is_waiting(num)` says whether a signal has not been taken yet: then another run would add nothing.
        """
        self._schedule = schedule
        self._raise = raise_signal
        self._is_waiting = is_waiting
        self._owed: dict[str, int] = {}

    @property
    def owed(self) -> tuple[str, ...]:
        """The sources whose runs wait for room."""
        return tuple(self._owed)

    def wait(self, now: Moment) -> float:
        """Seconds until `tick` is due at the latest; infinite if never."""
        return min(self._schedule.wait(now), _AGAIN if self._owed else float("inf"))

    def tick(self, now: Moment) -> list[Source]:
        """Raise what is owed, then what is due; return whose time had come."""
        owed, self._owed = self._owed, {}
        for name, times in owed.items():
            entry = self._schedule.entry(name)
            if entry is not None:
                self._fire(entry.source, times)
        due = self._schedule.due(now)
        for firing in due:
            self._fire(firing.source, firing.times)
        return [firing.source for firing in due]

    def add(self, name: str) -> None:
        """One run beside the schedule, now: what the source watches has changed."""
        entry = self._schedule.entry(name)
        if entry is not None:
            entry.fired += 1
            self._fire(entry.source, 1)

    def forget(self, name: str) -> None:
        """Owe nothing to this source."""
        self._owed.pop(name, None)

    def _fire(self, source: Source, times: int) -> None:
        for left in range(times, 0, -1):
            if source.coalesce and (source.name in self._owed or self._is_waiting(source.num)):
                self._schedule.miss(source.name)
            elif source.name in self._owed or not self._raise(source.num):
                self._owe(source, left)
                return

    def _owe(self, source: Source, times: int) -> None:
        owed = self._owed.get(source.name, 0) + times
        most = 1 if source.coalesce else MOST_AT_ONCE
        self._owed[source.name] = min(owed, most)
        self._schedule.miss(source.name, max(0, owed - most))
