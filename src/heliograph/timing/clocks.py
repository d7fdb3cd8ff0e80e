"""Clocks: the clock of the machine, and a fake clock for tests."""

from __future__ import annotations

import time
from collections.abc import Callable

from heliograph._core.schedule.schedule import ClockReading

Alarm = Callable[[], float]
"""Runs everything that is due, and returns the seconds until the next call."""


def clock_reading() -> ClockReading:
    """Return the time now, for a schedule.

    The monotonic part counts time that the machine is suspended, so a suspend does not look like a clock change.
    """
    return ClockReading(time.clock_gettime(time.CLOCK_BOOTTIME), time.time())


class SystemClock:
    """The clock of the machine."""

    def monotonic(self) -> float:
        """Return the seconds since boot. The value never decreases."""
        return time.monotonic()

    def time(self) -> float:
        """Return the seconds since 1970-01-01 UTC."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Sleep for `seconds`."""
        time.sleep(seconds)


class FakeClock:
    """A clock for tests. Its time passes only in `sleep`, which returns immediately."""

    def __init__(self, now: float = 1_767_225_600.0) -> None:
        self._epoch = now
        self._elapsed = 0.0
        self._alarm: Alarm | None = None

    def set_alarm(self, alarm: Alarm) -> None:
        """Call `alarm()` while time passes, each time after the number of seconds that it returned last."""
        self._alarm = alarm

    def monotonic(self) -> float:
        """Return the seconds that have passed on this clock."""
        return self._elapsed

    def time(self) -> float:
        """Return the seconds since 1970-01-01 UTC. The clock starts at 2026-01-01 00:00 UTC by default."""
        return self._epoch + self._elapsed

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass. A negative value counts as 0."""
        end = self._elapsed + max(0.0, seconds)
        while self._alarm is not None and (wait := self._alarm()) <= end - self._elapsed:
            self._elapsed += wait
        self._elapsed = max(self._elapsed, end)

    def set(self, now: float) -> None:
        """Set the wall clock to `now`, in seconds since 1970. The monotonic clock does not change."""
        self._epoch = now - self._elapsed
