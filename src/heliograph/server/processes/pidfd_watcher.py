"""How processes come in that the master did not fork, and how it notices that they have gone."""

from __future__ import annotations

import logging
import os
import selectors
from collections.abc import Callable
from functools import partial

from heliograph.models import Identity

_LOG = logging.getLogger("heliograph.master")

OnExit = Callable[[Identity, float], None]


class PidfdWatcher:
    """Watches the processes that joined, each by a descriptor of the kernel's (pidfd)."""

    def __init__(self, selector: selectors.BaseSelector, left: OnExit) -> None:
        """`left` is called when one has ended, however it did."""
        self._selector = selector
        self._left = left
        self._pidfds: dict[int, int] = {}

    def watch(self, pid: int, process: Identity) -> bool:
        """Watch a process from now on; False if it has ended already, or cannot be watched."""
        if pid in self._pidfds:
            return True
        try:
            watch = os.pidfd_open(pid)
        except OSError as error:
            if not isinstance(error, ProcessLookupError):
                _LOG.error("process %d cannot be let in as %s: %s", pid, process, error)
            return False
        self._pidfds[pid] = watch
        self._selector.register(watch, selectors.EVENT_READ, partial(self._gone, pid, process))
        return True

    def close(self) -> None:
        """Watch nobody any more."""
        for watch in self._pidfds.values():
            self._selector.unregister(watch)
            os.close(watch)
        self._pidfds.clear()

    def _gone(self, pid: int, process: Identity, now: float) -> None:
        watch = self._pidfds.pop(pid)
        self._selector.unregister(watch)
        os.close(watch)
        self._left(process, now)
