"""The log of an open database and the index of the log: are they still those that this process has open?

SQLite does not look at the names of its files again. A process goes on with a file that somebody has removed, and the
next process that opens the store makes a new one.

Without the log, commits are lost. The index (`tasks.db-shm`) is only a view of the log that processes share. But two
processes with two indexes do not see each other's commits, and the later one overwrites those of the other in the log.
So a process that finds another index opens the database again before it writes.
"""

from __future__ import annotations

import contextlib
import os

from heliograph.store import identity
from heliograph.store.identity import Identity
from heliograph.store.log_length import lengthen


class LiveFiles:
    """The files beside a database, as they were when this process opened them."""

    def __init__(self, path: str) -> None:
        """Note the files. The caller holds the gate, and has just opened them."""
        self._log = path + "-wal"
        self._index = path + "-shm"
        found = os.stat(self._log)
        self._log_inode, self.log_bytes = found.st_ino, found.st_size
        found = os.stat(self._index)
        self._index_inode, self._index_bytes = found.st_ino, found.st_size
        self.is_shared = _has_open(found)
        """False: another connection of this process keeps an index open that others do not find."""

    def log_fault(self) -> str | None:
        """Return what has happened to the log, or None. Note its size."""
        try:
            found = os.stat(self._log)
        except FileNotFoundError:
            return "its write-ahead log was removed"
        self.log_bytes = found.st_size
        return None if found.st_ino == self._log_inode else "its write-ahead log was replaced"

    def lengthen_log(self) -> None:
        """Make the file of the log longer. The caller holds the gate, and the log has just grown."""
        self.log_bytes += lengthen(self._log, self.log_bytes)

    def has_index(self) -> bool:
        """Return False if the index was removed, replaced or shortened."""
        try:
            found = os.stat(self._index)
        except FileNotFoundError:
            return False
        if found.st_ino != self._index_inode or found.st_size < self._index_bytes:
            return False
        self._index_bytes = found.st_size
        return True


def log_size(path: str) -> int:
    """Return the bytes of the log of a database, 0 if it has none."""
    with contextlib.suppress(FileNotFoundError):
        return os.stat(path + "-wal").st_size
    return 0


def log_fault(path: str, known: Identity) -> str | None:
    """Return what has happened to a log that is shorter than after the last commit, or None.

    That is no damage if another program has written all of it into the database.
    """
    if log_size(path) >= known.numbers[identity.LOG_BYTES]:
        return None
    return "its write-ahead log was " + ("shortened" if os.path.exists(path + "-wal") else "removed")


def _has_open(wanted: os.stat_result) -> bool:
    with os.scandir("/proc/self/fd") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                found = entry.stat()
                if (found.st_ino, found.st_dev) == (wanted.st_ino, wanted.st_dev):
                    return True
    return False
