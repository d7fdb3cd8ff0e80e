"""The page of an owner in a mapped file: the tasks that it has claimed, and how far each has come.

The page has two halves. A claim is written into the half that is not in use, then committed, then the halves change
places. So whoever reads the page of an owner that was killed finds every claim of it in one of the halves. Each entry
counts only if the row in the database still has its token, so that the other half does no harm.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from heliograph._core.records import record
from heliograph._core.tasks.values import Outcome, TaskStatus
from heliograph.ipc.task_owners import INTERRUPTED

MAX_BATCH = 128
"""Number of tasks in one batch, at most."""

MAX_INLINE = 192
"""Bytes of a return value that fit into an entry."""

_HEADER = 64
_ENTRY = 256
_HALF = _HEADER + MAX_BATCH * _ENTRY
CLAIMED, BEGUN, DONE, CANCELLED = range(4)
STATUSES: tuple[TaskStatus, ...] = tuple(TaskStatus)
_NUMBER_OF = {status: number for number, status in enumerate(STATUSES)}
_READY = _NUMBER_OF[TaskStatus.READY]
NO_VALUE, INLINE, LOST = range(3)

_HEAD = struct.Struct("<QQ")  # token, number of entries
_BODY = struct.Struct("<QIIqqqBBBI")  # number, attempt, -, begun, finished, run_after, status, counts, value kind, size
_END = struct.Struct("<qqBBBI")  # the last six
_STATE = 63
_TIME = struct.Struct("<q")
_BEGUN_AT, _ENDED_AT = 16, 24
_VALUE = _ENTRY - MAX_INLINE


@record
class Entry:
    """A claim as a page has it."""

    number: int
    token: int
    attempt: int
    state: int
    begun_at: int
    finished_at: int
    outcome: Outcome
    lost: int
    """Bytes of a value that did not fit into the page."""


class OwnerPage:
    """One page. Only its owner writes to it, but for `cancel`, which the lock of the owner guards."""

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        self._base = self._start(memory[0])

    @staticmethod
    def _start(half: int) -> int:
        return 64 + half * _HALF

    @property
    def is_interrupted(self) -> bool:
        """True if the server ends the process."""
        return bool(self._memory[INTERRUPTED])

    def set_interrupted(self) -> None:
        """Note that the server ends the process."""
        self._memory[INTERRUPTED] = 1

    def clear(self) -> None:
        """Forget all entries."""
        self._memory[INTERRUPTED] = 0
        for half in 0, 1:
            _HEAD.pack_into(self._memory, self._start(half), 0, 0)

    def prepare(self, token: int, claims: list[tuple[int, int]]) -> None:
        """Write claims (number, attempt) into the half that is not in use, before they are committed."""
        base = self._start(1 - self._memory[0])
        _HEAD.pack_into(self._memory, base, token, 0)
        for index, (number, attempt) in enumerate(claims):
            at = base + _HEADER + index * _ENTRY
            self._memory[at + _STATE] = CLAIMED
            _BODY.pack_into(self._memory, at, number, attempt, 0, 0, 0, 0, 0, 0, 0, 0)
        _HEAD.pack_into(self._memory, base, token, len(claims))

    def turn(self) -> None:
        """Use the other half, after the commit."""
        half = 1 - self._memory[0]
        self._memory[0] = half
        self._base = self._start(half)

    def begin(self, index: int, now: int) -> bool:
        """Note that the attempt of an entry begins. Return False if it was cancelled."""
        at = self._base + _HEADER + index * _ENTRY
        if self._memory[at + _STATE] != CLAIMED:
            return False
        _TIME.pack_into(self._memory, at + _BEGUN_AT, now)
        self._memory[at + _STATE] = BEGUN
        return True

    def finish(self, index: int, outcome: Outcome, now: int) -> bool:
        """Note the end of an attempt. Return False if the outcome does not fit: then its value and error are lost."""
        at, memory = self._base + _HEADER + index * _ENTRY, self._memory
        value, kind, size = outcome.value, NO_VALUE, 0
        if value is not None:
            size, kind = len(value), INLINE
        fits = size <= MAX_INLINE and outcome.error is None
        if not fits:
            size, kind = size + len(outcome.error or b""), LOST
        elif value:
            memory[at + _VALUE : at + _VALUE + size] = value
        status = _NUMBER_OF[outcome.status]
        _END.pack_into(memory, at + _ENDED_AT, now, outcome.run_after, status, outcome.counts, kind, size)
        memory[at + _STATE] = DONE
        return fits

    def cancel(self, number: int, token: int) -> bool:
        """Cancel a claim that has not begun. Return False if it has. The caller holds the owner's lock."""
        for base in self._start(0), self._start(1):
            found, count = _HEAD.unpack_from(self._memory, base)
            for at in range(base + _HEADER, base + _HEADER + count * _ENTRY, _ENTRY) if found == token else ():
                if _BODY.unpack_from(self._memory, at)[0] == number and self._memory[at + _STATE] == CLAIMED:
                    self._memory[at + _STATE] = CANCELLED
                    return True
        return False

    def runs(self, number: int, token: int) -> bool:
        """Return True if the attempt of this claim has begun and not ended."""
        entry = self.find(number, token)
        return entry is not None and entry.state == BEGUN

    def find(self, number: int, token: int) -> Entry | None:
        """Return the entry of a claim."""
        return next((entry for entry in self.entries() if (entry.number, entry.token) == (number, token)), None)

    def entries(self) -> Iterator[Entry]:
        """Return the entries of both halves."""
        for base in self._start(0), self._start(1):
            token, count = _HEAD.unpack_from(self._memory, base)
            for index in range(min(count, MAX_BATCH)):
                yield self._entry(token, base + _HEADER + index * _ENTRY)

    def plain_end(self, index: int) -> tuple[TaskStatus, bytes | None, int, int, int, int] | None:
        """Return (status, value, finished, begun, number, attempt) of an entry of the half that is in use.

        None: it has not ended, or has ended with more than that.
        """
        memory, at = self._memory, self._base + _HEADER + index * _ENTRY
        if memory[at + _STATE] != DONE:
            return None
        status: int
        number, attempt, _, begun, finished, _, status, counts, kind, size = _BODY.unpack_from(memory, at)
        if kind == LOST or not counts or status == _READY:
            return None
        value = bytes(memory[at + _VALUE : at + _VALUE + size]) if kind == INLINE else None
        return STATUSES[status], value, finished, begun, number, attempt

    def active(self, index: int) -> Entry:
        """Return an entry of the half that is in use."""
        token, _ = _HEAD.unpack_from(self._memory, self._base)
        return self._entry(token, self._base + _HEADER + index * _ENTRY)

    def state(self, index: int) -> int:
        """Return the state of an entry of the half that is in use."""
        return self._memory[self._base + _HEADER + index * _ENTRY + _STATE]

    def _entry(self, token: int, at: int) -> Entry:
        memory = self._memory
        status: int
        number, attempt, _, begun, finished, run_after, status, counts, kind, size = _BODY.unpack_from(memory, at)
        value = bytes(memory[at + _VALUE : at + _VALUE + size]) if kind == INLINE else None
        outcome = Outcome(STATUSES[int(status)], value, None, run_after, bool(counts))
        lost = size if kind == LOST else 0
        return Entry(number, token, attempt, memory[at + _STATE], begun, finished, outcome, lost)
