"""The present task of each process of a server, in memory that all of them share.

The signals whose handlers run are in the in-flight buffer of the process, with the time since when: see
`_core.signals.running`. This module has the rest: the running task, and the memory of the process at its start.
Times are nanoseconds of CLOCK_MONOTONIC.

Layout
    64-bit words: a sequence number, the time since when the task runs, and the memory in bytes. Then the name of the
    task's function and the id of the task as UTF-8, filled up with zeros. The sequence number is odd while the process
    writes. A reader reads it before and after the rest, so it never gets the name of one task and the time of another.
"""

from __future__ import annotations

from typing import NamedTuple

FORMAT_VERSION = 1
"""Version of this layout."""

ACTIVITY_BYTES = 192
"""Bytes of the slot of one process: whole cache lines."""

_SEQUENCE, _SINCE, _MEMORY = range(3)
_NAME = 24
_ID = _NAME + 96
_END = _ID + 40
"""Offsets of the name, the id, and the byte behind it."""

_TRIES = 8
"""Number of times that a reader tries to read what a process is writing."""


class RunningTask(NamedTuple):
    """A task that a process runs now."""

    name: str
    """Name of its function, cut after 96 bytes."""
    id: str
    since: int
    """Nanoseconds of CLOCK_MONOTONIC."""


class Activity:
    """The slot of one process, over ACTIVITY_BYTES bytes. Only that process writes it, and the master after its end."""

    __slots__ = ("_data", "_id", "_name", "_words")

    def __init__(self, buffer: memoryview) -> None:
        self._data = buffer.cast("B")
        self._words = self._data.cast("Q")
        self._id = self._data[_ID:_END]
        self._name = ""

    def show_task(self, name: str, task_id: str, since: int) -> None:
        """Show a running task."""
        words = self._words
        sequence = words[_SEQUENCE] | 1  # odd already if a predecessor was killed here
        words[_SEQUENCE] = sequence
        words[_SINCE] = since
        if name != self._name:
            self._name = name
            self._data[_NAME:_ID] = name.encode(errors="replace")[: _ID - _NAME].ljust(_ID - _NAME, b"\0")
        self._id[:] = task_id.encode().ljust(_END - _ID, b"\0")
        words[_SEQUENCE] = sequence + 1

    def hide_task(self) -> None:
        """Show that no task runs."""
        self._words[_SINCE] = 0

    def task(self) -> RunningTask | None:
        """Return the running task, or one of them. None: there is none, or the process is writing all the time."""
        words = self._words
        for _ in range(_TRIES):
            sequence = words[_SEQUENCE]
            since, text = words[_SINCE], bytes(self._data[_NAME:_END])
            if sequence % 2 == 0 and words[_SEQUENCE] == sequence:
                return _decode(text, since) if since else None
        return None

    @property
    def ready_memory(self) -> int:
        """Resident memory (RSS) of the process when it became ready, in bytes. 0: it is not ready yet."""
        return self._words[_MEMORY]

    @ready_memory.setter
    def ready_memory(self, memory: int) -> None:
        self._words[_MEMORY] = memory

    def clear(self) -> None:
        """Forget what a predecessor in the same role did."""
        self.hide_task()
        self.ready_memory = 0


def _decode(text: bytes, since: int) -> RunningTask:
    name, task_id = text[: _ID - _NAME], text[_ID - _NAME :]
    return RunningTask(name.rstrip(b"\0").decode(errors="ignore"), task_id.rstrip(b"\0").decode(), since)
