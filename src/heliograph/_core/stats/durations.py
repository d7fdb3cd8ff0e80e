"""Times that signals waited and that their handlers ran: histograms in memory that all processes of a server share.

Layout
    A slot for each process that receives signals. A slot has two histograms for each signal number, one after the
    other: time waited, time run. `_core.stats.histogram` describes the words of a histogram. As with counters, only the
    process that has the slot writes to it, and its successor continues.

What the figures mean
    Run: the time of each handler, or of a coalesced run. While the handlers of a process are fast (20 microseconds), it
    measures all records of a fetch together and counts the mean for each. If such signals come one by one, more than
    1,000 a second, it measures every eighth. The figures lag behind by as many.
    Waited: the time from `send()`, or from the redelivery, to the start of the handler, or of the first handler of a
    fetch. Signals of a burst have no time (`engines.local.stamps`). If their receiver was idle, they count with the
    last wake-up that was measured. Otherwise they count with the next signal of the number that has a time.
"""

from __future__ import annotations

from collections.abc import Sequence

from heliograph._core.stats.histogram import BUCKETS, WORDS, Histogram, bucket_of
from heliograph._core.stats.lanes import sum_words
from heliograph.models import SIGNALS

FORMAT_VERSION = 1
"""Version of this layout."""

SIGNAL_WORDS = 2 * WORDS
SIGNAL_BYTES = 8 * SIGNAL_WORDS
DURATION_BYTES = SIGNALS * SIGNAL_BYTES
"""Bytes of the slot of one process."""

_RAN = WORDS


class ProcessDurations:
    """The histograms of one process, over DURATION_BYTES bytes."""

    __slots__ = ("_words",)

    def __init__(self, buffer: memoryview) -> None:
        self._words = buffer.cast("B").cast("Q")

    def add_waited(self, num: int, nanoseconds: int, signals: int = 1) -> None:
        """Count that so many signals of a number have waited so long, each."""
        words, start = self._words, num * SIGNAL_WORDS
        words[start + bucket_of(nanoseconds)] += signals
        if nanoseconds > 0:
            words[start + BUCKETS] += nanoseconds * signals

    def add_ran(self, num: int, nanoseconds: int, signals: int = 1) -> None:
        """Count that so many handlers of a number have run for so long, together."""
        words, start = self._words, num * SIGNAL_WORDS + _RAN
        words[start + bucket_of(nanoseconds // signals if signals > 1 else nanoseconds)] += signals
        if nanoseconds > 0:
            words[start + BUCKETS] += nanoseconds

    def clear(self, num: int) -> None:
        """Forget the durations of a number whose name no process has any more."""
        for word in range(num * SIGNAL_WORDS, (num + 1) * SIGNAL_WORDS):
            self._words[word] = 0


class Durations:
    """The histograms of all processes."""

    def __init__(self, buffer: memoryview, processes: int) -> None:
        """`buffer` has a slot of DURATION_BYTES bytes for each process."""
        self._buffer = buffer.cast("B")
        self._processes = processes

    def of_process(self, number: int) -> ProcessDurations:
        """Return the slot of a process."""
        assert number < self._processes
        return ProcessDurations(self._buffer[number * DURATION_BYTES : (number + 1) * DURATION_BYTES])

    def totals(self, started: Sequence[Sequence[int]]) -> DurationTotals:
        """Return the sums over all processes.

        `started` are the numbers of handlers that each process has started, by signal. Histograms of a process without
        any are not read, because the kernel would give memory to them.
        """
        parts: list[tuple[int, memoryview]] = []
        for number, counts in enumerate(started):
            used = [num for num, count in enumerate(counts) if count]
            if used:
                first, end = used[0] * SIGNAL_BYTES, (used[-1] + 1) * SIGNAL_BYTES
                slot = number * DURATION_BYTES
                parts.append((first, self._buffer[slot + first : slot + end]))
        return DurationTotals(sum_words(parts, DURATION_BYTES))

    def clear(self, num: int, started: Sequence[Sequence[int]]) -> None:
        """Forget the durations of a number whose name no process has any more. `started`: see `totals`."""
        for number, counts in enumerate(started):
            if counts[num]:
                self.of_process(number).clear(num)


class DurationTotals:
    """Histograms by signal number, summed over all processes."""

    def __init__(self, words: memoryview[int]) -> None:
        self._words = words

    def waited(self, num: int) -> Histogram:
        """Return the times that signals of a number waited."""
        start = num * SIGNAL_WORDS
        return Histogram.of(self._words[start : start + WORDS].tolist())

    def ran(self, num: int) -> Histogram:
        """Return the times that handlers of a number ran."""
        start = num * SIGNAL_WORDS + _RAN
        return Histogram.of(self._words[start : start + WORDS].tolist())
