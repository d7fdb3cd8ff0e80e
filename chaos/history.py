"""Counts in files that outlive the processes.

A signal carries no data, so the checks use sums per number over all processes that ever ran. Each process maps a file
of its own and is the only one that writes to it. A count is one store of a word, and the kernel keeps the page when
the process is killed. A process can be killed between an action and its count, so each action is counted before and
after:

    attempted  send() was called       accepted  send() returned
    started    a handler was entered   finished  it returned

The number of signals sent is at least `accepted` and at most `attempted`. A kill shows as `attempted - accepted` or as
`started - finished`.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import time
import traceback
from pathlib import Path
from typing import NamedTuple

NUMBERS = 16
ROWS = ("attempted", "accepted", "started", "finished")
_BYTES = 8 * NUMBERS * len(ROWS)


class Counts(NamedTuple):
    """Rows of counts. A row has a word for each signal number."""

    attempted: memoryview[int]
    accepted: memoryview[int]
    started: memoryview[int]
    finished: memoryview[int]


class ProcessRecord(NamedTuple):
    """A process. `loaded` is when its code was loaded, `started` when it started: nanoseconds, monotonic clock."""

    process: str
    pid: int
    loaded: int
    started: int


class Sums(NamedTuple):
    """Counts of all processes for one signal number."""

    attempted: int = 0
    accepted: int = 0
    started: int = 0
    finished: int = 0


def open_counts(directory: Path, process: str, pid: int, loaded: int) -> Counts:
    """Create the counts of this process, all zero.

    Without them its work would look like lost signals. So it ends if it lacks a descriptor, and is replaced.
    """
    path = directory / f"{process}-{pid}-{loaded}-{time.monotonic_ns()}"
    unfinished = directory / f".{path.name}"
    try:
        unfinished.write_bytes(bytes(_BYTES))
        unfinished.rename(path)
        with path.open("r+b") as file:
            return _rows(mmap.mmap(file.fileno(), _BYTES))
    except OSError:
        with contextlib.suppress(OSError):  # The disk of the log may be full too.
            traceback.print_exc()
        os._exit(1)


class History:
    """Read the counts of all processes."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory

    def records(self) -> list[ProcessRecord]:
        """Return the records of all processes that ever ran."""
        return [_record(path) for path in self._paths()]

    def newest(self) -> dict[str, ProcessRecord]:
        """Return the latest process of each name."""
        return {record.process: record for record in sorted(self.records(), key=lambda record: record.started)}

    def sums(self) -> dict[int, Sums]:
        """Return the counts so far, by signal number."""
        total = [[0] * NUMBERS for _ in ROWS]
        for path in self._paths():
            for into, row in zip(total, _rows(path.read_bytes()), strict=True):
                for num, count in enumerate(row):
                    into[num] += count
        return {num: Sums(*(row[num] for row in total)) for num in range(NUMBERS)}

    def _paths(self) -> list[Path]:
        return [path for path in self.directory.iterdir() if not path.name.startswith(".")]


def _rows(buffer: mmap.mmap | bytes) -> Counts:
    words = memoryview(buffer).cast("Q")
    return Counts(*(words[i * NUMBERS : (i + 1) * NUMBERS] for i in range(len(ROWS))))


def _record(path: Path) -> ProcessRecord:
    process, pid, loaded, started = path.name.split("-")
    return ProcessRecord(process, int(pid), int(loaded), int(started))
