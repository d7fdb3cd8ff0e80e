"""The journal: a line for each thing that happens to a task, in a file that outlives the processes.

    stored  enqueue() returned       refused  enqueue() raised an exception
    begin   the function was called  raised   it raised an exception   end  it is about to return
    locks   the locks that a process lacks, or "all"

Each line is one write to a file that was opened with `O_APPEND`, so lines of several processes do not mix. The kernel
keeps them when a process is killed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

from chaos.workload import DIRECTORY

GENERATION = "CHAOS_GENERATION"
"""Environment variable: the number of restarts."""
LOOK = "CHAOS_LOOK_AT_LOCKS"
"""Environment variable: "1" if processes are to look at their locks."""
JOURNAL, RELEASE = "journal", "release"
"""Names in that directory: the journal, and the file that lets the tasks end that hold a process."""
HOLD = "hold."
"""Prefix of the keys of such tasks."""


class Line(NamedTuple):
    """A line. `generation` and `pid` identify the process, `key` the call of `enqueue()`."""

    what: str
    generation: int
    pid: int
    time: int
    """Nanoseconds of the monotonic clock."""
    task_id: str
    attempt: int
    key: str

    @property
    def process(self) -> tuple[int, int]:
        """The process that wrote the line."""
        return self.generation, self.pid


class Journal:
    """Write the lines of this process."""

    def __init__(self) -> None:
        self.directory = Path(os.environ[DIRECTORY])
        self.pid = os.getpid()
        self._generation = os.environ[GENERATION]
        self._fd = os.open(self.directory / JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._numbers = count(1)

    def new_key(self) -> str:
        """Return a key for a call of `enqueue()`, unique over all processes."""
        return f"{self._generation}.{self.pid}.{next(self._numbers)}"

    def write(self, what: str, task_id: str = "-", attempt: int = 0, key: str = "-") -> None:
        """Append a line."""
        now = time.monotonic_ns()
        line = f"{what} {self._generation} {self.pid} {now} {task_id} {attempt} {key}\n"
        os.write(self._fd, line.encode())


class JournalReader:
    """Read the lines that were added since the last time."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / JOURNAL
        self._path.touch()
        self._offset = 0

    def new_lines(self) -> Iterator[Line]:
        """Return the new lines, in the order in which they were written."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        for text in whole.decode().splitlines():
            what, generation, pid, moment, task_id, attempt, key = text.split(" ", 6)
            yield Line(what, int(generation), int(pid), int(moment), task_id, int(attempt), key)
