"""Counters in memory that all processes of a server share.

Rules
    A slot belongs to one process at a time, and only that process writes to it. A successor in the same role continues
    the counts of its predecessor. Therefore the processes need no lock, and a reader adds the slots up.

Layout
    `slots` x SLOT_BYTES bytes, native unsigned 64-bit words. A slot has one row of 256 words for each counter, with one
    word a signal number, and then the words of the process as a whole: `PROCESS_WORDS`.

To add a counter, add its name to `CounterName` and its attribute to `ProcessCounters`. `FORMAT_VERSION` follows.
"""

from __future__ import annotations

from typing import Literal, get_args
from zlib import crc32

from heliograph.models import SIGNALS

CounterName = Literal[
    "sent",
    "skipped",
    "started",
    "done",
    "failed",
    "waiters",
    "redelivered",
    "dropped",
    "copies",
    "vacated",
    "coalesced",
]
COUNTERS: tuple[CounterName, ...] = get_args(CounterName)

PROCESS_WORDS = ("rejected", "pid", "generation")
"""The words of a process as a whole, which stand behind its counters."""

_REJECTED = len(COUNTERS) * SIGNALS
_PID, _GENERATION = _REJECTED + 1, _REJECTED + 2
_WORDS = _REJECTED + 8
SLOT_BYTES = 8 * _WORDS
"""Bytes of one slot: whole cache lines, so that two writers do not share one."""


def format_version(*names: str) -> int:
    """Return the version of a layout with words of these names, in this order."""
    return crc32(" ".join(names).encode())


FORMAT_VERSION = format_version(*COUNTERS, *PROCESS_WORDS)
"""Version of this layout. It follows from the names, so a counter that is added, renamed or moved changes it."""


class ProcessCounters:
    """The counters of one process, used as in `counters.sent[num] += 1`."""

    __slots__ = ("_words", *COUNTERS)

    sent: memoryview[int]
    """Signals that `send()` accepted."""
    skipped: memoryview[int]
    """Records that were not written for a signal to several receivers, since a queue stayed full. The signal counts as
    sent if other receivers have got theirs."""
    started: memoryview[int]
    """Signals that a handler got, one for each receiver and attempt."""
    done: memoryview[int]
    """Signals whose handler returned."""
    failed: memoryview[int]
    """Signals whose handler raised an exception, ended its process or exceeded its time limit."""
    waiters: memoryview[int]
    """Threads that wait for a signal now."""
    redelivered: memoryview[int]
    """Signals that the master redelivered after the process that had them in flight was killed."""
    dropped: memoryview[int]
    """Signals that the master did not redeliver: too many attempts, time limit exceeded, `redeliver=False`, or a
    worker number that was vacated."""
    copies: memoryview[int]
    """Records that `send()` wrote for targets whose number of receivers changes. For the others, `sent` tells it."""
    vacated: memoryview[int]
    """Records that the master dropped, before a handler got them, because a worker number was vacated."""
    coalesced: memoryview[int]
    """Signals, one for each receiver, that a run for an earlier one includes (`coalesce=True`)."""

    def __init__(self, words: memoryview[int]) -> None:
        self._words = words
        for number, name in enumerate(COUNTERS):
            setattr(self, name, words[number * SIGNALS : (number + 1) * SIGNALS])

    @property
    def rejected(self) -> int:
        """Number of sends that failed because a queue stayed full."""
        return self._words[_REJECTED]

    def count_rejected(self) -> None:
        """Count one send that failed because a queue stayed full."""
        self._words[_REJECTED] += 1

    @property
    def pid(self) -> int:
        """Id of the process that counts here now, 0 if there is none."""
        return self._words[_PID]

    @pid.setter
    def pid(self, pid: int) -> None:
        self._words[_PID] = pid

    @property
    def generation(self) -> int:
        """Generation of the code that the process runs that counts here, or did last."""
        return self._words[_GENERATION]

    @generation.setter
    def generation(self, generation: int) -> None:
        self._words[_GENERATION] = generation

    def clear(self, num: int) -> None:
        """Forget the counts of a number whose name no process has any more."""
        for name in COUNTERS:
            if name != "waiters":
                getattr(self, name)[num] = 0


class Counters:
    """All slots of a server, over a buffer of at least `slots` x SLOT_BYTES bytes."""

    def __init__(self, buffer: memoryview, slots: int, more: memoryview | None = None) -> None:
        """`more` has a 64-bit word with the number of further slots that are in use, which follow in the buffer."""
        self._buffer = buffer.cast("B")
        self._fixed = slots
        self._more = more.cast("B").cast("Q") if more is not None else None
        self._slots: tuple[ProcessCounters, ...] = ()
        self._slots = self.slots

    @property
    def slots(self) -> tuple[ProcessCounters, ...]:
        """The slots that are in use, or have been."""
        used = self._fixed + (self._more[0] if self._more is not None else 0)
        known = self._slots
        if len(known) < used:
            # Assigned as a whole, since other threads may do the same.
            known = self._slots = known + tuple(map(self._slot, range(len(known), used)))
        return known

    def _slot(self, number: int) -> ProcessCounters:
        return ProcessCounters(self._buffer[number * SLOT_BYTES : (number + 1) * SLOT_BYTES].cast("Q"))

    def total(self, counter: CounterName, num: int) -> int:
        """Return one signal's counter, summed over all processes."""
        return sum(getattr(slot, counter)[num] for slot in self.slots)

    def rejected(self) -> int:
        """Return the number of rejected sends, summed over all processes."""
        return sum(slot.rejected for slot in self.slots)
