"""inotify at the edge: masks, and what its errors mean."""

from __future__ import annotations

import errno
import sys

import inotify_simple
from inotify_simple import Event, flags

from heliograph.exceptions import ScheduleError

ENTRIES = flags.CREATE | flags.DELETE | flags.MOVED_FROM | flags.MOVED_TO
"""A directory got, lost or replaced an entry."""

ITSELF = flags.DELETE_SELF | flags.MOVE_SELF | flags.UNMOUNT
"""What is watched is no longer where it was."""

CONTENT = flags.MODIFY | flags.CLOSE_WRITE | flags.ATTRIB
"""Bytes, times or rights changed; opening and reading is none of it."""

_FULL = {
    errno.ENOSPC: "the kernel watches as much as this user may; raise fs.inotify.max_user_watches with sysctl",
    errno.EMFILE: "too many are open; raise fs.inotify.max_user_instances with sysctl, or the limit of open files",
}


class Inotify:
    """One inotify instance: numbers (`wd`) of the inodes that it watches, and what happened to them."""

    def __init__(self) -> None:
        """Raises `ScheduleError` on a system without inotify, or if no more instances may be opened."""
        try:
            self._inotify = inotify_simple.INotify(nonblocking=True)
        except (AttributeError, OSError) as error:  # a C library without it, a kernel without it
            why = _FULL.get(getattr(error, "errno", None) or 0, f"this system ({sys.platform}) has no inotify")
            raise ScheduleError(f"files cannot be watched: {why}", sys.platform) from error

    def fileno(self) -> int:
        """Readable while something happened that was not read yet."""
        return self._inotify.fileno()

    def add(self, path: str, mask: int) -> int:
        """Watch the inode at `path` (a link is not followed) for `mask` too, and return its number.

        Raises FileNotFoundError, NotADirectoryError and PermissionError as they are, other errors as `ScheduleError`.
        """
        try:
            return self._inotify.add_watch(path, mask | flags.DONT_FOLLOW | flags.EXCL_UNLINK | flags.MASK_ADD)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            raise
        except OSError as error:
            why = _FULL.get(error.errno or 0, str(error))
            raise ScheduleError(f"cannot watch {path!r}: {why}", path) from error

    def remove(self, wd: int) -> None:
        """No longer watch that inode, if it is still there."""
        try:
            self._inotify.rm_watch(wd)
        except OSError as error:
            if error.errno != errno.EINVAL:  # the inode went, and the watch with it
                raise

    def read(self) -> list[Event]:
        """All that happened since the last call, at once; nothing if nothing did."""
        return self._inotify.read(timeout=0)

    def close(self) -> None:
        """Give the descriptor and all watches back."""
        self._inotify.close()
