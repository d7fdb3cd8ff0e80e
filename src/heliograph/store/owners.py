"""Owners of tasks in a store: a kernel lock and a page in a mapped file for each.

An owner holds one byte of the file with a record lock, which the kernel frees as soon as its process is gone. Children
do not inherit it. But the process loses all its locks if it closes any descriptor of the file: so the file is opened
once in a process, and only here.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Callable, Generator
from contextlib import contextmanager

from heliograph.exceptions import StoreError
from heliograph.ipc.store_directory import lock_holder
from heliograph.ipc.task_owners import LAYOUT_VERSION, MAX_OWNERS, PAGE_BYTES
from heliograph.store.faults import damaged
from heliograph.store.owner_page import OwnerPage

_HEADER = struct.Struct("<8sQ")
"""The beginning of the file: a mark, and the version of the layout. No owner has the number 0."""
_MARK = b"HGOWNERS"

_FIRST_BEGIN_LOCK = 1 << 20
"""Offset of the bytes that owners lock for a moment while they begin a task. The file does not reach so far."""


class OwnersFile:
    """The file, opened in this process. `get` returns the one object for a path."""

    _opened: dict[tuple[int, int], OwnersFile] = {}  # noqa: RUF012 - a registry of the process
    _pid = 0

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._map = mmap.mmap(fd, MAX_OWNERS * PAGE_BYTES)
        self._memory = memoryview(self._map)
        self._uses = 0
        self.mine: set[int] = set()
        """Numbers of owners in this process. Its own record locks are invisible to it."""

    @classmethod
    def get(cls, path: str, has_running: Callable[[], bool]) -> OwnersFile:
        """Open the file, or use the object that this process has. The caller holds the gate.

        `has_running` returns whether a task of the store runs. If none does, a file of an older layout is renewed.

        Raises:
            StoreError: The file has a layout that this version of heliograph does not know. Nothing has changed.
        """
        if cls._pid != os.getpid():
            cls.forget_all()
        if os.path.exists(path):
            found = os.stat(path)
            opened = cls._opened.get((found.st_dev, found.st_ino))
            if opened is not None:
                return opened.share()
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _check_layout(fd, path, has_running)
            if os.fstat(fd).st_size < MAX_OWNERS * PAGE_BYTES:
                os.ftruncate(fd, MAX_OWNERS * PAGE_BYTES)
        except BaseException:
            os.close(fd)
            raise
        found = os.fstat(fd)
        opened = cls._opened[found.st_dev, found.st_ino] = cls(fd)
        opened.share()
        return opened

    @classmethod
    def forget_all(cls) -> None:
        """Close what this process has inherited through a fork. It has none of the locks."""
        for opened in list(cls._opened.values()):
            opened.close()
        cls._opened.clear()
        cls._pid = os.getpid()

    def share(self) -> OwnersFile:
        """Return this file for one more use."""
        self._uses += 1
        return self

    def release(self) -> None:
        """Close the file if this was its last use in the process."""
        self._uses -= 1
        if self._uses == 0 and self in self._opened.values():
            for key in [key for key, opened in self._opened.items() if opened is self]:
                del self._opened[key]
            self.close()

    def close(self) -> None:
        """Close the descriptor. The mapping stays as long as it is used."""
        os.close(self._fd)

    def lock(self) -> int:
        """Take a free number, and allocate its page, so that no later write to it needs space on the disk.

        The caller holds the gate.

        Raises:
            StoreError: Too many processes.
            OSError: The disk is full.
        """
        for number in range(1, MAX_OWNERS):
            if number in self.mine:
                continue
            try:
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
            except OSError:
                continue
            try:
                os.posix_fallocate(self._fd, number * PAGE_BYTES, PAGE_BYTES)
            except OSError:
                fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, number)
                raise
            self.mine.add(number)
            return number
        raise StoreError(f"too many processes run tasks: {MAX_OWNERS - 1}. Start fewer.", "")

    def unlock(self, number: int) -> None:
        """Give a number back."""
        self.mine.discard(number)
        fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, number)

    def is_alive(self, number: int) -> bool:
        """Return True if the process of this owner lives."""
        return number in self.mine or lock_holder(self._fd, number) is not None

    def page(self, number: int) -> OwnerPage:
        """Return the page of an owner."""
        start = number * PAGE_BYTES
        return OwnerPage(self._memory[start : start + PAGE_BYTES])

    def try_begin_lock(self, number: int) -> bool:
        """Take the lock of an owner that beginning and cancelling exclude each other with. False: it is taken."""
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _FIRST_BEGIN_LOCK + number)
        except OSError:
            return False
        return True

    def begin_unlock(self, number: int) -> None:
        """Release that lock."""
        fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, _FIRST_BEGIN_LOCK + number)

    @contextmanager
    def begin_lock(self, number: int) -> Generator[None]:
        """Hold that lock. Its owner has it for microseconds only."""
        fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, _FIRST_BEGIN_LOCK + number)
        try:
            yield
        finally:
            self.begin_unlock(number)


_REMOVE = (
    "Install that version, or remove the file while no process uses the store. Tasks that were running then run again"
)


def _check_layout(fd: int, path: str, has_running: Callable[[], bool]) -> None:
    """Check the version of the layout, and note it in a new file, or in an older one that nobody needs."""
    found = os.pread(fd, _HEADER.size, 0)
    if not any(found):  # a new file, or one that somebody has emptied
        os.pwrite(fd, _HEADER.pack(_MARK, LAYOUT_VERSION), 0)
        return
    mark, version = _HEADER.unpack(found)
    if mark != _MARK:
        raise damaged(os.path.dirname(path), f"its file {os.path.basename(path)!r} was overwritten")
    if version < LAYOUT_VERSION and not _has_owner(fd) and not has_running():
        # It stays the same file: processes of the older version that only enqueue may have it open.
        os.ftruncate(fd, 0)
        os.pwrite(fd, _HEADER.pack(_MARK, LAYOUT_VERSION), 0)
    elif version != LAYOUT_VERSION:
        advice = "Stop the server that runs it, and start it with this version" if _has_owner(fd) else _REMOVE
        raise StoreError(
            f"the file of running tasks is of another heliograph: {path} (layout version {version}, this one knows "
            f"{LAYOUT_VERSION}). {advice}.",
            os.path.dirname(path),
        )


def _has_owner(fd: int) -> bool:
    return any(lock_holder(fd, number) is not None for number in range(1, MAX_OWNERS))


def is_overwritten(path: str) -> bool:
    """Return True if the file has other contents. No process may use the store: this drops the locks of its process."""
    try:
        with open(path, "rb") as file:
            found = file.read(len(_MARK))
    except FileNotFoundError:
        return False
    return any(found) and found != _MARK
