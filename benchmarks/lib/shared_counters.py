"""Counters that all processes of a server share. They are created before the server forks."""

from __future__ import annotations

import mmap

MAX_MULES = 8
"""Maximum number of mules."""

MAX_TIMES = 65_536
"""Number of handler starts that are kept."""

_LINE = 8
"""Words in a cache line. Two writers never share a cache line."""


class SharedCounters:
    """Count the signals that each mule handles, and record when mule 1 starts the handler `timed`.

    Each word has one writer, so no lock is needed.
    """

    def __init__(self) -> None:
        counters = _LINE * (MAX_MULES + 1)
        self.words = memoryview(mmap.mmap(-1, 8 * (counters + MAX_TIMES))).cast("Q")
        self.times = self.words[counters:]
        """Start of the N-th handler in mule 1, at index N modulo `MAX_TIMES`: nanoseconds, monotonic clock."""
        self._counters = tuple(self.counter(mule) for mule in range(1, MAX_MULES + 1))

    def counter(self, mule: int) -> int:
        """Return the index of the counter of a mule (from 1)."""
        return _LINE * mule

    def handled(self) -> int:
        """Return how many signals all mules have handled so far."""
        words = self.words
        return sum([words[index] for index in self._counters])
