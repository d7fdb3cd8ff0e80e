"""The accounts: counters in memory that all processes of a server share.

Rules
    A slot belongs to one process at a time, and only that process writes to it; a successor in the same role goes
    on counting where it stopped. So nothing here needs a lock between processes, and a reader adds up.

Layout
    `slots` x SLOT_BYTES bytes, native unsigned 64-bit words. Within a slot, five rows of 256 words, one word a
    signal number: sent, taken, done, failed, waiting; then one word: refused.
"""

from __future__ import annotations

from typing import Literal

from heliograph.values import SIGNALS

Row = Literal["sent", "taken", "done", "failed", "waiting"]
ROWS: tuple[Row, ...] = ("sent", "taken", "done", "failed", "waiting")

_REFUSED = len(ROWS) * SIGNALS
_WORDS = _REFUSED + 8
SLOT_BYTES = 8 * _WORDS
"""Bytes of one slot; a multiple of a cache line, so that two writers do not share one."""


class Slot:
    """One process's own counters. `sent[num] += 1` and the like; each row has 256 words."""

    __slots__ = ("_words", "done", "failed", "sent", "taken", "waiting")

    def __init__(self, words: memoryview[int]) -> None:
        self._words = words
        self.sent, self.taken, self.done, self.failed, self.waiting = (
            words[i * SIGNALS : (i + 1) * SIGNALS] for i in range(len(ROWS))
        )

    @property
    def refused(self) -> int:
        """How many sends were refused because a queue stayed full."""
        return self._words[_REFUSED]

    def refuse(self) -> None:
        """Count one send that was refused."""
        self._words[_REFUSED] += 1


class Accounts:
    """All slots of a server, over a buffer of at least `slots` x SLOT_BYTES zero bytes."""

    def __init__(self, buffer: memoryview, slots: int) -> None:
        words = buffer.cast("B")[: slots * SLOT_BYTES].cast("Q")
        self.slots = tuple(Slot(words[i * _WORDS : (i + 1) * _WORDS]) for i in range(slots))

    def total(self, row: Row, num: int) -> int:
        """One signal's counter, over all processes."""
        return sum(getattr(slot, row)[num] for slot in self.slots)

    def refused(self) -> int:
        """Refused sends, over all processes."""
        return sum(slot.refused for slot in self.slots)
