"""Errors of SQLite and of the system, as `StoreError`."""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
import tempfile

from heliograph.exceptions import StoreError
from heliograph.ipc.store_directory import DATABASE

_SPARE = 1 << 17
"""Bytes. Without that much space, an I/O error means that the disk is full."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

RESTORE = "restore a backup with `heliograph tasks restore FILE`"

_IO_ERROR = 10
CORRUPT = {11, 26}
"""SQLITE_CORRUPT and SQLITE_NOTADB."""


def store_error(error: Exception, directory: str, action: str) -> StoreError:
    """Return the error for a failed action (`enqueue`, `claim tasks`).

    SQLite says "disk I/O error" when it cannot make its shared memory on a full disk, so the space is looked at first.
    """
    if isinstance(error, StoreError):
        return error
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if _is_disk_full(error, directory, code):
        made = StoreError(
            f"cannot {action}: the disk is full ({directory}). Free some space, then try again.", directory
        )
        made.errno = errno.ENOSPC
    elif code in CORRUPT:
        made = damaged(directory, str(error))
    else:
        made = StoreError(
            f"cannot {action} in {directory}: {error}. Check the disk and the rights of the directory.", directory
        )
        made.errno = getattr(error, "errno", None) or errno.EIO
    return made


def verifying_error(error: Exception, directory: str, log_fault: str | None) -> StoreError:
    """Return the error for a database that could not be verified. `log_fault` is what is wrong with its log, or None.

    SQLite says "disk I/O error" if the log is too short. It says that on a full disk, too.
    """
    made = store_error(error, directory, "use the store of tasks")
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if log_fault is None or made.errno == errno.ENOSPC or code not in {_IO_ERROR, *CORRUPT}:
        return made
    return damaged(directory, log_fault)


def damaged(directory: str, reason: str) -> StoreError:
    """Return the error for a store that lost something, or that somebody has changed."""
    advice = f"Stop the server, then {RESTORE}"
    if is_left(directory):
        advice += ", accept what is left with `heliograph tasks restore --as-it-is`,"
    made = StoreError(
        f"the store of tasks in {directory} is damaged: {reason}. Nothing was changed. {advice} or move the directory "
        "away.",
        directory,
    )
    made.errno = errno.EIO
    made.is_damaged = True
    return made


def is_left(directory: str) -> bool:
    """Return True if the directory has a database that is not empty."""
    try:
        return os.stat(os.path.join(directory, DATABASE)).st_size > 0
    except OSError:
        return False


def removed(directory: str) -> StoreError:
    """Return the error for a store whose directory was removed while it was in use."""
    made = StoreError(
        f"the store of tasks in {directory} is damaged: its directory was removed. Put it back, or leave it away to "
        "begin without tasks, then run `heliograph reload`, or start the program again.",
        directory,
    )
    made.errno = errno.EIO
    made.is_damaged = True
    return made


def _is_disk_full(error: Exception, directory: str, code: int) -> bool:
    if code == sqlite3.SQLITE_FULL or getattr(error, "errno", None) in _FULL:
        return True
    return (code == _IO_ERROR or isinstance(error, OSError)) and not _has_space(directory)


def _has_space(directory: str) -> bool:
    """Return False if a file here cannot grow: no space, a quota, or a limit of this process."""
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit != resource.RLIM_INFINITY and limit < _largest(directory) + _SPARE:
        return False
    try:
        with tempfile.TemporaryFile(dir=directory) as probe:
            os.posix_fallocate(probe.fileno(), 0, _SPARE)
    except OSError as error:
        return error.errno not in _FULL
    return True


def _largest(directory: str) -> int:
    with os.scandir(directory) as entries:
        return max((entry.stat().st_size for entry in entries if entry.is_file()), default=0)
