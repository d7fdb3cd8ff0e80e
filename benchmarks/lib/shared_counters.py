"""Counters that all processes of a server share; made while the application is loaded, before it forks."""

from __future__ import annotations

import mmap

MULES = 8
"""As many receivers as there is room for."""

TIMES = 65_536
"""Starts of handlers that are remembered."""

_LINE = 8
"""Words of a cache line: two writers never share one."""


class Memory:
    """How many signals each mule has handled, and when mule 1 started those that it was asked to time.

    A word has one writer, so nothing needs a lock.
    """

    def __init__(self) -> None:
        counters = _LINE * (MULES + 1)
        self.words = memoryview(mmap.mmap(-1, 8 * (counters + TIMES))).cast("Q")
        self.times = self.words[counters:]
        """When the N-th signal of mule 1 started, at N modulo `TIMES`: nanoseconds, monotonic."""
        self._counters = tuple(self.counter(mule) for mule in range(1, MULES + 1))

    def counter(self, mule: int) -> int:
        """Index of the word in which mule N (from 1) counts."""
        return _LINE * mule

    def handled(self) -> int:
        """Signals handled so far, by all mules."""
        words = self.words
        return sum([words[index] for index in self._counters])
