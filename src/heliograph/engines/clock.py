"""Clocks: the machine's own, and one that a test holds in its hands."""

from __future__ import annotations

import time


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

    def monotonic(self) -> float:
        """Seconds since this clock was made."""
        return self._elapsed

    def time(self) -> float:
        """Seconds since 1970-01-01 UTC; starts at 2026-01-01 00:00 UTC unless told otherwise."""
        return self._epoch + self._elapsed

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass; negative ones are none."""
        self._elapsed += max(0.0, seconds)
