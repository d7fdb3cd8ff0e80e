"""The accounts: counters in memory that all processes of a server share.

Rules
    A slot belongs to one process at a time, and only that process writes to it; a successor in the same role goes
    on counting where it stopped. So nothing here needs a lock between processes, and a reader adds up.

Layout
    `slots` x SLOT_BYTES bytes, native unsigned 64-bit words. A slot has rows of 256 words, one word a signal number:

        sent         accepted by `send()`
        taken        given to a handler, once a receiver and attempt
        done failed  how its handler ended
        waiting      threads that wait for it now
        redelivered  given out again after the process that had it in hand was killed
        dropped      not given out again: it killed too many processes, ran into its time limit, or may run but once

    and then two words of the whole process: refused, pid.
"""

from __future__ import annotations

from typing import Literal

from heliograph.models import SIGNALS

CounterName = Literal["sent", "started", "done", "failed", "waiters", "redelivered", "dropped"]
COUNTERS: tuple[CounterName, ...] = ("sent", "started", "done", "failed", "waiters", "redelivered", "dropped")

_REJECTED = len(COUNTERS) * SIGNALS
_PID = _REJECTED + 1
_WORDS = _REJECTED + 8
SLOT_BYTES = 8 * _WORDS
"""Bytes of one slot; a multiple of a cache line, so that two writers do not share one."""


class ProcessCounters:
    """One process's own counters. `sent[num] += 1` and the like; each row has 256 words."""

    __slots__ = ("_words", *COUNTERS)

    def __init__(self, words: memoryview[int]) -> None:
        self._words = words
        rows = [words[i * SIGNALS : (i + 1) * SIGNALS] for i in range(len(COUNTERS))]
        self.sent, self.started, self.done, self.failed, self.waiters, self.redelivered, self.dropped = rows

    @property
    def rejected(self) -> int:
        """How many sends were refused because a queue stayed full."""
        return self._words[_REJECTED]

    def count_rejected(self) -> None:
        """Count one send that was refused."""
        self._words[_REJECTED] += 1

    @property
    def pid(self) -> int:
        """Process id of who counts here now; 0 for nobody."""
        return self._words[_PID]

    @pid.setter
    def pid(self, pid: int) -> None:
        self._words[_PID] = pid


class Counters:
    """All slots of a server, over a buffer of at least `slots` x SLOT_BYTES zero bytes."""

    def __init__(self, buffer: memoryview, slots: int) -> None:
        words = buffer.cast("B")[: slots * SLOT_BYTES].cast("Q")
        self.slots = tuple(ProcessCounters(words[i * _WORDS : (i + 1) * _WORDS]) for i in range(slots))

    def total(self, counter: CounterName, num: int) -> int:
        """One signal's counter, over all processes."""
        return sum(getattr(slot, counter)[num] for slot in self.slots)

    def rejected(self) -> int:
        """Refused sends, over all processes."""
        return sum(slot.rejected for slot in self.slots)
