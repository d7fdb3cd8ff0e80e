"""Counters of tasks, in a file that the client and all processes of a server map."""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
from pathlib import Path
from time import monotonic_ns
from typing import NamedTuple

FOLDER_ENV = "BENCH_FOLDER"
"""Variable with the directory of a run: the counters, the socket of Redis, the databases."""

_WORDS = 8
"""Words of a process. They fill a cache line, and have one writer."""
_MAX_PROCESSES = 255

_STAMP = 0
"""Word of the first line of the last timed task: nanoseconds, monotonic clock."""

_COUNT, _FIRST, _LAST = range(3)


class Counted(NamedTuple):
    """Tasks that a process has run: their number, and the start of the first and the last (ns, monotonic clock)."""

    tasks: int
    first: int
    last: int


class TaskCounters:
    """Count the tasks that each process runs, and record when a timed task starts."""

    def __init__(self, folder: Path) -> None:
        self._claims = folder / "claims"
        with (folder / "counters").open("a+b") as file:
            file.truncate(8 * _WORDS * (_MAX_PROCESSES + 1))
            self._words = memoryview(mmap.mmap(file.fileno(), 0)).cast("Q")
        self._mine = 0
        self._lock = threading.Lock()

    def count(self) -> None:
        """Count a task. The first one in a process claims words for the process."""
        now = monotonic_ns()
        with self._lock:  # a process may run tasks in several threads
            mine = self._mine or self._claim()
            words = self._words
            words[mine + _COUNT] = count = words[mine + _COUNT] + 1
            words[mine + _LAST] = now
            if count == 1:
                words[mine + _FIRST] = now

    def stamp(self) -> None:
        """Record that the timed task runs."""
        self._words[_STAMP] = monotonic_ns()

    def stamped(self) -> int:
        """Return when the timed task ran. 0: not yet."""
        return self._words[_STAMP]

    def clear_stamp(self) -> None:
        """Forget the last timed task."""
        self._words[_STAMP] = 0

    def read(self) -> list[Counted]:
        """Return the figures of each process that has run a task."""
        starts = range(_WORDS, len(self._words), _WORDS)
        found = [Counted(*self._words[start : start + 3]) for start in starts]
        return [counted for counted in found if counted.tasks]

    def clear(self) -> None:
        """Set all counts to zero. The processes keep their words."""
        for start in range(_WORDS, len(self._words), _WORDS):
            self._words[start + _COUNT] = 0

    def _claim(self) -> int:
        with self._claims.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            number = file.seek(0, os.SEEK_END) + 1
            if number > _MAX_PROCESSES:
                raise RuntimeError(f"too many processes ran tasks: {number}")
            file.write(b".")
        self._mine = _WORDS * number
        return self._mine
