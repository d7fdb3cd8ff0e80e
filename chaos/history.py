"""Who counts what, in files that outlive any process.

Rules
    A signal is nothing but its number, so what is proven is proven by sums over all processes that ever lived, a
    number at a time. Each process counts in a file of its own, which it maps: a count is one store of a word into
    memory that the kernel keeps when the process is killed, and nobody else writes there.
    A process may be killed between an act and its count. So each act is counted before and after:

        attempted  a send was begun        accepted  it came back: the signal is accepted
        started    a handler was entered   finished  it came to its end

    What was sent is at least `accepted` and at most `attempted`. A kill is seen as `attempted - accepted`, or as
    `started - finished`.
"""

from __future__ import annotations

import mmap
import time
from pathlib import Path
from typing import NamedTuple

NUMBERS = 16
ROWS = ("attempted", "accepted", "started", "finished")
_BYTES = 8 * NUMBERS * len(ROWS)


class Counts(NamedTuple):
    """Rows of a word for each number."""

    attempted: memoryview[int]
    accepted: memoryview[int]
    started: memoryview[int]
    finished: memoryview[int]


class ProcessRecord(NamedTuple):
    """One process: who it was, since when, and when its code was loaded; nanoseconds, monotonic."""

    who: str
    pid: int
    loaded: int
    born: int


class Sums(NamedTuple):
    """What all processes together counted for one number."""

    attempted: int = 0
    accepted: int = 0
    started: int = 0
    finished: int = 0


def open_counts(directory: Path, who: str, pid: int, loaded: int) -> Counts:
    """Begin to count for a process; all zero."""
    path = directory / f"{who}-{pid}-{loaded}-{time.monotonic_ns()}"
    unfinished = directory / f".{path.name}"
    unfinished.write_bytes(bytes(_BYTES))
    unfinished.rename(path)
    with path.open("r+b") as file:
        return _rows(mmap.mmap(file.fileno(), _BYTES))


class History:
    """Reads what the processes count."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory

    def lives(self) -> list[ProcessRecord]:
        """All processes that ever lived."""
        return [_life(path) for path in self._paths()]

    def newest(self) -> dict[str, ProcessRecord]:
        """The latest process of each name."""
        return {life.who: life for life in sorted(self.lives(), key=lambda life: life.born)}

    def sums(self) -> dict[int, Sums]:
        """What was counted so far, by number."""
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


def _life(path: Path) -> ProcessRecord:
    who, pid, loaded, born = path.name.split("-")
    return ProcessRecord(who, int(pid), int(loaded), int(born))
