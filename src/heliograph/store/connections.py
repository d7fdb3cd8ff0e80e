"""The two connections of a process to a database: one writes, one reads.

SQLite's last close of a database is a checkpoint that removes the log. It believes to be the last one if no other
process holds a lock on the database file, and a process loses its locks when any code in it opens and closes the file.
So the reader, which cannot write a checkpoint, is always closed last, and the log stays.
"""

from __future__ import annotations

import contextlib
import ctypes
import sqlite3
import weakref

from heliograph.store.faults import damaged
from heliograph.store.opening import CACHE_KB, connect, connect_to_read

_abandoned: set[tuple[int, int]] = set()
"""Databases (device, inode) of which this process keeps connections that it must not use. SQLite shares what it knows
of a file between all connections of a process, so it cannot open them again."""


class Connections:
    """Both connections. `close` also happens when the object is collected, and when the interpreter exits."""

    def __init__(self, path: str, *, sync: bool) -> None:
        self.writer = connect(path, sync=sync)
        self.reader = connect_to_read(path)
        self.reader.execute(f"PRAGMA cache_size = -{CACHE_KB}").fetchall()
        self.reader.execute("SELECT 1 FROM meta").fetchall()  # takes its locks
        self.close = weakref.finalize(self, _close, self.writer, self.reader)

    def abandon(self, inode: tuple[int, int]) -> None:
        """Leave them open for ever: closing them would write to files that are not ours any longer."""
        self.close.detach()
        for connection in self.writer, self.reader:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
        _abandoned.add(inode)


def check_not_abandoned(inode: tuple[int, int], directory: str) -> None:
    """Raise `StoreError` if this process cannot open the database again."""
    if inode in _abandoned:
        raise damaged(directory, "its files have changed while this process used them")


def _close(writer: sqlite3.Connection, reader: sqlite3.Connection) -> None:
    for connection in writer, reader:
        with contextlib.suppress(sqlite3.Error):
            connection.close()
