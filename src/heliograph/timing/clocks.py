"""Clocks: the machine's own, and one that a test holds in its hands."""

from __future__ import annotations

import time
from collections.abc import Callable

from heliograph._core.schedule.schedule import ClockReading

Alarm = Callable[[], float]


def clock_reading() -> ClockReading:
    """Now, for a schedule. Its monotonic clock goes on while the machine sleeps, so a sleep is no clock change."""
    return ClockReading(time.clock_gettime(time.CLOCK_BOOTTIME), time.time())


class SystemClock:
    """Real time."""

    def monotonic(self) -> float:
        """Seconds since boot; never goes back."""
        return time.monotonic()

    def time(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


class FakeClock:
    """Time that passes only when told to; `sleep` tells it, and returns at once."""

    def __init__(self, now: float = 1_767_225_600.0) -> None:
        self._epoch = now
        self._elapsed = 0.0
        self._alarm: Alarm | None = None

    def set_alarm(self, alarm: Alarm) -> None:
        """Call `alarm()` at its times while time passes; it answers how many seconds until the next."""
        self._alarm = alarm

    def monotonic(self) -> float:
        """Seconds since this clock was made."""
        return self._elapsed

    def time(self) -> float:
        """Seconds since 1970-01-01 UTC; starts at 2026-01-01 00:00 UTC unless told otherwise."""
        return self._epoch + self._elapsed

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass; negative ones are none."""
        end = self._elapsed + max(0.0, seconds)
        while self._alarm is not None and (wait := self._alarm()) <= end - self._elapsed:
            self._elapsed += wait
        self._elapsed = max(self._elapsed, end)

    def set(self, now: float) -> None:
        """Set the wall clock, as an operator does: seconds since 1970. The monotonic clock goes on."""
        self._epoch = now - self._elapsed
