"""The file of a store's owners, as the master sees it, which does not open the store.

Each owner is a process that claims tasks. It has a number, a page in the file, and a record lock on the byte of the
number.
"""

from __future__ import annotations

import os

from heliograph.ipc.store_directory import OWNERS, lock_holder

MAX_OWNERS = 512
PAGE_BYTES = 17 * 4096
"""Bytes of the page of an owner: two halves and a header."""

LAYOUT_VERSION = 2
"""Version of the layout of the file and its pages. Increase it when the meaning of a byte changes."""

INTERRUPTED = 1
"""Offset in a page of the byte that is 1 if the server ends the process."""


def note_kill(directory: str, pid: int) -> None:
    """Note that the server kills a process: its running tasks do not count as attempts, nor as killed by them.

    A process that drains notes that itself. But one that is stopped, or in a long call of C code, handles no SIGTERM.

    Raises:
        OSError: The file does not exist, or cannot be written.
    """
    fd = os.open(os.path.join(directory, OWNERS), os.O_RDWR | os.O_CLOEXEC)  # noqa: PTH118
    try:
        for number in range(1, MAX_OWNERS):
            if lock_holder(fd, number) == pid:
                os.pwrite(fd, b"\1", number * PAGE_BYTES + INTERRUPTED)
    finally:
        os.close(fd)
