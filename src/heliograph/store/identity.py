"""The identity of a store: a small mapped file beside the database.

SQLite opens a database without an error that was emptied, replaced by an older copy, or whose write-ahead log is gone.
This file says what the database must have at least.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from heliograph._core.tasks.ids import KEY_BYTES
from heliograph.exceptions import StoreError
from heliograph.store.faults import damaged

_BYTES = 4096
_MAGIC = b"HGTASKS1"
_KEY = 8
_BOOT = 24
_FIRST_NUMBER = 8
"""Index of the first integer. Each has 8 bytes, so that a process which is killed never leaves half of one."""

(
    EPOCH,
    ALLOCATED,
    COMMITTED,
    TOKENS,
    CHANGES,
    MODIFIED,
    WITHOUT_SYNC,
    WAITERS,
    READY,
    LAST_NOW,
    OFFSET,
    JUMPED_AT,
    JUMP,
    DATABASE_INODE,
    OWN_INODE,
    LOG_BYTES,
) = range(_FIRST_NUMBER, _FIRST_NUMBER + 16)
"""Indexes of `Identity.numbers`:

* epoch, which grows when sequence numbers may have been lost
* last sequence number that was given out, and that was committed
* last number of a transaction that was given out, and of one that was committed
* time of the last change of the database file, nanoseconds
* 1: the last commits did not wait for the disk
* 1: some process may wait for the end of a task
* 1: the database has been made
* last time that a caller gave
* time minus uptime, the time after the last jump ahead of the clock, and the size of that jump
* inodes of the database and of this file: if only the first one has changed, somebody has replaced the database
* bytes of the write-ahead log after the last commit
"""


class Identity:
    """The mapped file. Only the holder of the gate writes to it."""

    def __init__(self, path: str) -> None:
        """Map an existing file. Raises: FileNotFoundError: there is none. StoreError: it is no such file."""
        self._path = path
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            if os.fstat(fd).st_size != _BYTES:
                raise self._damaged(path)
            self._map = mmap.mmap(fd, _BYTES)
            self._inode = os.fstat(fd).st_ino
        finally:
            os.close(fd)
        if self._map[:8] != _MAGIC:
            raise self._damaged(path)
        self.numbers = memoryview(self._map).cast("q")
        self.key = self._map[_KEY : _KEY + KEY_BYTES]

    @classmethod
    def create(cls, path: str, key: bytes | None = None) -> Identity:
        """Make the file of a new store, on the disk."""
        fd = os.open(path + ".new", os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, _BYTES)
            os.pwrite(fd, _MAGIC + (key or os.urandom(KEY_BYTES)) + boot_id(), 0)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(path + ".new", path)
        sync_directory(os.path.dirname(path))
        return cls(path)

    def flush(self) -> None:
        """Write the file to the disk."""
        self._map.flush()

    @property
    def is_same_boot(self) -> bool:
        """True if the machine has not restarted since `note_boot`."""
        return self._map[_BOOT : _BOOT + 16] == boot_id()

    def is_in_place(self) -> bool:
        """Return False if the file was removed, replaced or shortened. The kernel ends a process that then reads it."""
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            return False
        return found.st_size == _BYTES and found.st_ino == self._inode

    def was_replaced(self, inode: int) -> bool:
        """Return True if the database has another inode than before, and this file has not."""
        numbers = self.numbers
        return numbers[OWN_INODE] == self._inode and numbers[DATABASE_INODE] != inode

    def note_inode(self, inode: int) -> None:
        """Note the inode of the database."""
        self.numbers[DATABASE_INODE] = inode
        self.numbers[OWN_INODE] = self._inode

    def note_boot(self) -> None:
        """Note that the store was opened since the start of the machine."""
        self._map[_BOOT : _BOOT + 16] = boot_id()

    @staticmethod
    def _damaged(path: str) -> StoreError:
        return damaged(os.path.dirname(path), f"its file {os.path.basename(path)!r} was emptied or overwritten")

    def close(self) -> None:
        """Unmap the file."""
        self.numbers.release()
        self._map.close()


def boot_id() -> bytes:
    """Return 16 bytes that are new after each start of the machine."""
    try:
        return bytes.fromhex(
            Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip().replace("-", "")
        )
    except OSError:
        return bytes(16)


def sync_directory(path: str) -> None:
    """Write the names in a directory to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
