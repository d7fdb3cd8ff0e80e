"""The length of the file of the write-ahead log.

A commit that makes the file longer waits until the metadata of the file system are on the disk as well, which takes
about as long again. So the file grows in large steps, by zeros: SQLite ignores them behind the end of a log, and
writes over them.
"""

from __future__ import annotations

import contextlib
import os

LOG_BYTES = 1800 * 4096
"""Bytes in the write-ahead log that make a commit write them into the database. That costs as much as many commits.

The file of the log stays that long. It is below `database.MAX_LOG`, since each idle moment would empty a longer one.
"""

_SHORT = 64 << 10
"""Bytes of a log that is not lengthened: a command has stored a task, for instance."""

_STEP = 1 << 20


def lengthen(path: str, length: int) -> int:
    """Double a log that has grown to `length` bytes, up to LOG_BYTES. Return the number of bytes that it has gained."""
    missing = min(length, _STEP, LOG_BYTES - length)
    if missing <= 0 or length < _SHORT:
        return 0
    with contextlib.suppress(OSError):  # The disk is full. The commit has not failed, so nothing is wrong yet.
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            return os.pwrite(fd, bytes(missing), length)
        finally:
            os.close(fd)
    return 0
