"""Watches the processes that joined: the master is not their parent, so the kernel reports their exit otherwise.

A process that joins gets the writing end of a pipe. When it exits, or closes that end because it cannot be a worker
after all, the kernel reports the end of the pipe. A pidfd reports an exit also while a child of the process still holds
the pipe open. Where a seccomp profile or an old kernel refuses pidfds, the pipe alone must do.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
from collections.abc import Callable
from functools import partial

from heliograph.loop import Selector, Service
from heliograph.models import Identity

_LOG = logging.getLogger("heliograph.master")

OnExit = Callable[[Identity, float], None]


class PidfdWatcher(Service):
    """Holds a pipe, and a pidfd if possible, for each process that joined."""

    def __init__(self, selector: Selector, on_exit: OnExit) -> None:
        """`on_exit` is called when a process has exited, for whatever reason, or given its place back."""
        self._selector = selector
        self._on_exit = on_exit
        self._watched: dict[int, list[int]] = {}
        self._writing_ends: dict[int, int] = {}

    def watch(self, pid: int, process: Identity) -> bool:
        """Watch a process. Return False if it has exited already, or cannot be watched."""
        if pid in self._watched:
            return True
        try:
            reading_end, self._writing_ends[pid] = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            _LOG.error("Process %d cannot join as %s: %s", pid, process, error)
            return False
        self._watched[pid] = [reading_end]
        try:
            self._watched[pid].append(os.pidfd_open(pid))
        except ProcessLookupError:
            self._forget(pid)
            return False
        except OSError as error:
            _LOG.debug("Watching process %d by its pipe only: %s", pid, error)
        for fd in self._watched[pid]:
            self._selector.register(fd, selectors.EVENT_READ, partial(self._on_readable, pid, process))
        return True

    def take_writing_end(self, pid: int) -> tuple[int, ...]:
        """Return the writing end of the pipe of a process, for that process. The caller closes it. Empty if taken."""
        return (self._writing_ends.pop(pid),) if pid in self._writing_ends else ()

    def close(self) -> None:
        for pid in list(self._watched):
            self._forget(pid)

    def _on_readable(self, pid: int, process: Identity, now: float) -> None:
        if pid in self._watched:  # else pipe and pidfd became readable in the same turn
            self._forget(pid)
            self._on_exit(process, now)

    def _forget(self, pid: int) -> None:
        for fd in self._watched.pop(pid):
            with contextlib.suppress(KeyError):
                self._selector.unregister(fd)
            os.close(fd)
        for fd in self.take_writing_end(pid):
            os.close(fd)
