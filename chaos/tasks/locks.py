"""The locks of a process on the files of a store, as the kernel lists them in `/proc/locks`, if it does.

A process that closes any descriptor of a file loses all its record locks on it, without an error. SQLite then writes
without a lock, and other processes take it for gone. So each process looks at its own locks while it uses the store.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from heliograph.ipc.store_directory import DATABASE, OWNERS

Names = tuple[str, ...]

ENQUEUE: Names = (DATABASE, f"{DATABASE}-shm")
"""A process that enqueues has the database open, and SQLite locks both files as long as it has."""
RUN: Names = (*ENQUEUE, OWNERS)
"""A process that runs a task also has the lock of its number as an owner."""


_LOOKS = 5
"""Number of looks until a lock is missing. The kernel lists the locks in parts of 4096 bytes, and leaves one out if
others are released between two parts. A lock that a process has really lost does not come back."""


def are_shown(directory: Path) -> bool:
    """Return True if this kernel lists the locks of a process. A sandbox may have none in its `/proc/locks`."""
    with (directory / "lock").open("wb") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        try:
            return not missing_locks(directory, ("lock",))
        except OSError:
            return False


def missing_locks(directory: Path, names: Names) -> list[str]:
    """Return the names of the files of which this process holds no record lock."""
    missing = list(names)
    for _ in range(_LOOKS):
        held = _locked_inodes(os.getpid())
        missing = [name for name in missing if (directory / name).stat().st_ino not in held]
        if not missing:
            break
    return missing


def _locked_inodes(pid: int) -> set[int]:
    """Return the numbers of the files on which a process holds record locks."""
    found: set[int] = set()
    for line in Path("/proc/locks").read_text().splitlines():
        # 1: POSIX  ADVISORY  READ 4711 00:2f:1234 128 128. Waiting processes have "->" before POSIX.
        fields = line.split()
        if fields[1] == "POSIX" and fields[4] == str(pid):
            found.add(int(fields[5].rpartition(":")[2]))
    return found
