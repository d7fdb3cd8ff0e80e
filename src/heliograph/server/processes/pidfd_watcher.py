"""Watches the processes that joined: the master is not their parent, so the kernel reports their exit by a pidfd."""

from __future__ import annotations

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
    """Holds a pidfd for each process that joined."""

    def __init__(self, selector: Selector, on_exit: OnExit) -> None:
        """`on_exit` is called when a process has exited, for whatever reason."""
        self._selector = selector
        self._on_exit = on_exit
        self._pidfds: dict[int, int] = {}

    def watch(self, pid: int, process: Identity) -> bool:
        """Watch a process. Return False if it has exited already, or cannot be watched."""
        if pid in self._pidfds:
            return True
        try:
            pidfd = os.pidfd_open(pid)
        except OSError as error:
            if not isinstance(error, ProcessLookupError):
                _LOG.error("Process %d cannot join as %s: %s", pid, process, error)
            return False
        self._pidfds[pid] = pidfd
        self._selector.register(pidfd, selectors.EVENT_READ, partial(self._on_readable, pid, process))
        return True

    def close(self) -> None:
        for pidfd in self._pidfds.values():
            self._selector.unregister(pidfd)
            os.close(pidfd)
        self._pidfds.clear()

    def _on_readable(self, pid: int, process: Identity, now: float) -> None:
        pidfd = self._pidfds.pop(pid)
        self._selector.unregister(pidfd)
        os.close(pidfd)
        self._on_exit(process, now)
