"""The inotify interface of the kernel: masks and errors."""

from __future__ import annotations

import errno
import sys

import inotify_simple
from inotify_simple import Event, flags

from heliograph.exceptions import ScheduleError

ENTRIES = flags.CREATE | flags.DELETE | flags.MOVED_FROM | flags.MOVED_TO
"""An entry of a directory was created, removed or replaced."""

ITSELF = flags.DELETE_SELF | flags.MOVE_SELF | flags.UNMOUNT
"""The watched inode was removed, moved or unmounted."""

UNLINKED = ITSELF | flags.ATTRIB
"""A file may have been removed. While it is open, the kernel reports only that it has a link less."""

CONTENT = flags.MODIFY | flags.CLOSE_WRITE | flags.ATTRIB
"""Content, times or permissions changed. Opening and reading do not count."""

_FULL = {
    errno.ENOSPC: "this user has too many file watches. Raise fs.inotify.max_user_watches with sysctl.",
    errno.ENAMETOOLONG: "the path is longer than the kernel allows (4096 bytes, 255 for each name).",
    errno.ENOMEM: "the kernel has no memory for another file watch.",
    errno.EMFILE: "too many are open. Raise fs.inotify.max_user_instances with sysctl, or the limit of open files.",
}


class Inotify:
    """An inotify instance. It reports events of watched inodes by their number (`wd`)."""

    def __init__(self) -> None:
        """Open an instance.

        Raises:
            ScheduleError: The system has no inotify, or this user may not open more instances.
        """
        try:
            self._inotify = inotify_simple.INotify(nonblocking=True)
        except (AttributeError, OSError) as error:  # a C library without it, a kernel without it
            why = _FULL.get(getattr(error, "errno", None) or 0, f"this system ({sys.platform}) has no inotify")
            raise ScheduleError(f"cannot watch files: {why}", sys.platform) from error

    def fileno(self) -> int:
        """Return a descriptor that is readable while there are unread events."""
        return self._inotify.fileno()

    def add(self, path: str, mask: int) -> int:
        """Watch the inode at `path` for the events of `mask` as well, and return its number. Links are not followed.

        Raises:
            FileNotFoundError, NotADirectoryError, PermissionError: As the kernel reports them.
            ScheduleError: Any other error of the kernel.
        """
        try:
            return self._inotify.add_watch(path, mask | flags.DONT_FOLLOW | flags.EXCL_UNLINK | flags.MASK_ADD)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            raise
        except OSError as error:
            why = _FULL.get(error.errno or 0, str(error))
            raise ScheduleError(f"cannot watch {path!r}: {why}", path) from error

    def remove(self, wd: int) -> None:
        """Stop watching an inode, if it still exists."""
        try:
            self._inotify.rm_watch(wd)
        except OSError as error:
            if error.errno != errno.EINVAL:  # the kernel removes the watch of a removed inode
                raise

    def read(self) -> list[Event]:
        """Return the events since the last call. Does not block."""
        return self._inotify.read(timeout=0)

    def close(self) -> None:
        """Close the descriptor, and remove all watches."""
        self._inotify.close()
