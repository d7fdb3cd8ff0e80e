"""Measuring how long signals wait and how long their handlers run, in the process that runs them.

A clock is read before and after each handler. If at least 16 handlers in a row took less than 20 microseconds each, the
process is *fast*: it measures all records that it fetches at once together, and counts the mean, until that is longer.

`_core.stats.durations` says what the figures mean. Nearly all work is done after a handler, so that it does not delay
the signal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from time import monotonic_ns

from heliograph._core.signals.records import RECORD_BYTES, STAMPED_BYTE
from heliograph._core.stats.counters import ProcessCounters
from heliograph._core.stats.durations import DURATION_BYTES, ProcessDurations
from heliograph.models import SIGNALS

FAST = 20_000
"""Nanoseconds of a fast handler."""

_FAST_RUNS = 16
"""Number of fast handlers in a row after which records are measured together."""

_IDLE = 20_000
"""Nanoseconds between the end of a handler and the next one after which the process must have been idle in between."""

_MANY = 16
"""Number of records of one fetch from which on they are collected. A process that gets fewer has time to count them."""

_SKIPPED = 7
"""Number of records that are not measured between two that are, if they come one by one."""

_OFTEN = 1_000_000
"""Nanoseconds from one to the next: a process that gets more than 1,000 signals a second measures a part of them."""

_PAUSE = 50_000_000

_MOST = 2048
"""Number of records that are collected."""

_WAKE = 5_000
"""Nanoseconds that an idle process takes to begin a handler, until it has measured that."""


class Measures:
    """The measurements of one process.

    `began` is the time at which a handler began, and `sent` the one at which its signal was sent, 0 if it is not known:
    of `time.monotonic_ns`.
    """

    def __init__(self, in_flight: memoryview, slot: ProcessCounters) -> None:
        """No other process sees the figures until `durations` is replaced."""
        self.on_pause: Callable[[], None] = lambda: None
        """Called every 50 ms, between two handlers."""
        self.can_batch = True
        """False: the process is never fast."""
        self.durations = ProcessDurations(memoryview(bytearray(DURATION_BYTES)))
        self.times = in_flight.cast("B").cast("Q")
        """The in-flight buffer as words. Those with odd indexes are times."""
        self.collected = 0
        """Number of records that are not counted yet."""
        self._in_flight = in_flight
        self._started = slot.started
        self._num = 0
        """Signal of the first record that was collected."""
        self._before: list[int] = []
        """The counters of started handlers before that. Empty: not known."""
        self._skipped = bytearray()
        """Signals whose handlers were not measured."""
        self._ran = self._idle = self._batches = self._fast_runs = self._ended = self._pause_at = 0
        self._wake = _WAKE
        self._unknown = [0] * SIGNALS
        """Number of signals of each number whose wait is not known and not counted yet."""

    def count(self, num: int, sent: int, began: int) -> bool:
        """Count a handler that has ended now. Return True if the process is fast."""
        return self._count(num, sent, began, monotonic_ns() - began)

    def skip(self, first: int, began: int) -> bool:
        """Note a handler that has ended now, and return True. Others of its like stand for it.

        Return False if it has to be counted: it was slow, it is one of few, or the last ones were skipped.
        """
        ended = monotonic_ns()
        is_alone = began - self._ended >= _OFTEN or self.collected
        if ended - began >= FAST or is_alone or len(self._skipped) >= _SKIPPED:
            return False
        self._before = []
        self._skipped.append(self._in_flight[first * RECORD_BYTES + 1])
        self._ended = ended
        return True

    def _count(self, num: int, sent: int, began: int, ran: int) -> bool:
        if self.collected:
            self.flush(bytes((num,)))
        is_idle = began - self._ended > _IDLE
        self._ended = began + ran
        if self._skipped:
            skipped = len(self._skipped)
            self._count_all(Counter(self._skipped), skipped, skipped * min(ran, FAST), skipped if is_idle else 0)
            self._skipped.clear()
        self.durations.add_ran(num, ran)
        if sent:
            self._count_sample(num, began - sent, is_idle=is_idle)
        elif is_idle:
            self.durations.add_waited(num, self._wake)
        else:
            self._unknown[num] += 1
        self._before = []
        if began >= self._pause_at:
            self._pause_at = began + _PAUSE
            self.on_pause()
        self._fast_runs = self._fast_runs + 1 if ran < FAST else 0
        return self.can_batch and self._fast_runs >= _FAST_RUNS

    def count_batch(self, first: int, records: int, began: int) -> bool:
        """Count the handlers of so many records, from place `first` of the buffer on. The last one has ended now.

        Many are only collected. `flush` must be called if no further signals come. Return True if the process is still
        fast.
        """
        ended = monotonic_ns()
        ran = ended - began
        if records == 1:
            start = first * RECORD_BYTES
            sent = self.times[2 * first + 1] if self._in_flight[start + STAMPED_BYTE] else 0
            return self._count(self._in_flight[start + 1], sent, began, ran)
        is_idle = began - self._ended > _IDLE
        self._ended = ended
        is_slow = ran >= FAST * records
        if records < _MANY or is_slow:
            self._count_now(first, records, ran, began, is_idle=is_idle)
            if is_slow:
                self._fast_runs = 0
            return not is_slow
        if not self.collected:
            self._begin_collecting(first, records)
        if self._batches & 7 == 0:
            self._look_at_times(first, records, began, is_idle=is_idle)
        self._batches += 1
        if is_idle:
            self._idle += records
        self._ran += ran
        self.collected += records
        if self.collected >= _MOST:
            self.flush()
        return True

    def poll(self, poll: Callable[[float], list[tuple[int, int]]]) -> list[tuple[int, int]]:
        """Return what has arrived. If nothing has, count what was collected."""
        found = poll(0)
        if not found:
            self.flush()
        return found

    def flush(self, later: bytes = b"") -> None:
        """Count what was collected. `later` are the signals whose handlers have started since then."""
        total = self.collected
        if not total:
            return
        before, self._before = self._before, self._started.tolist()
        for num in later:
            self._before[num] -= 1
        counts = {self._num: total}
        if self._before[self._num] - before[self._num] != total:  # several signals
            pairs = enumerate(zip(before, self._before, strict=True))
            counts = {num: new - old for num, (old, new) in pairs if new > old}
        self._count_all(counts, total, self._ran, self._idle)
        self.collected = self._ran = self._idle = 0

    def _count_now(self, first: int, records: int, ran: int, began: int, *, is_idle: bool) -> None:
        nums = self._bytes(first, records, 1)
        self.flush(nums)
        self._before = []
        counts = {nums[0]: records} if nums.count(nums[0]) == records else Counter(nums)
        self._count_all(counts, records, ran, records if is_idle else 0)
        self._look_at_times(first, records, began, is_idle=is_idle)

    def _count_all(self, counts: dict[int, int], total: int, ran: int, idle: int) -> None:
        """Count handlers by signal, which took `ran` nanoseconds together. `idle` of them began in an idle process."""
        for num, count in counts.items():
            self.durations.add_ran(num, ran * count // total, count)
            woken = idle * count // total
            if woken:
                self.durations.add_waited(num, self._wake, woken)
            self._unknown[num] += count - woken

    def _begin_collecting(self, first: int, records: int) -> None:
        """Note the first signal, and the counters before the records ran."""
        nums = self._bytes(first, records, 1)
        self._num = nums[0]
        if not self._before:
            self._before = self._started.tolist()
            for num in nums:
                self._before[num] -= 1

    def _look_at_times(self, first: int, records: int, began: int, *, is_idle: bool) -> None:
        """Count the waits of the records that have a time."""
        stamped = self._bytes(first, records, STAMPED_BYTE)
        place = stamped.find(1)
        while place >= 0:
            num = self._in_flight[(first + place) * RECORD_BYTES + 1]
            self._unknown[num] -= 1  # the batch counts it, too
            self._count_sample(num, began - self.times[2 * (first + place) + 1], is_idle=is_idle)
            place = stamped.find(1, place + 1)

    def _count_sample(self, num: int, waited: int, *, is_idle: bool) -> None:
        """Count a measured wait for the signal, and for all others of the number whose waits are not known."""
        signals = 1 + self._unknown[num]
        self._unknown[num] = min(signals, 0)
        if signals > 0:
            self.durations.add_waited(num, waited, signals)
        if is_idle:
            self._wake = max(waited, 1)

    def _bytes(self, first: int, records: int, position: int) -> bytes:
        """Return the byte at a position of each record."""
        start, end = first * RECORD_BYTES, (first + records) * RECORD_BYTES
        return bytes(self._in_flight[start + position : end : RECORD_BYTES])
