"""How processes come in that the master did not fork, and how it notices that they have gone."""

from __future__ import annotations

import logging
import os
import selectors
from collections.abc import Callable
from functools import partial

from heliograph.values import Identity

_LOG = logging.getLogger("heliograph.master")

Left = Callable[[Identity, float], None]


class Door:
    """Watches the processes that joined, each by a descriptor of the kernel's (pidfd)."""

    def __init__(self, selector: selectors.BaseSelector, left: Left) -> None:
        """`left` is called when one has ended, however it did."""
        self._selector = selector
        self._left = left
        self._inside: dict[int, int] = {}

    def let_in(self, pid: int, who: Identity) -> bool:
        """Watch a process from now on; False if it has ended already, or cannot be watched."""
        if pid in self._inside:
            return True
        try:
            watch = os.pidfd_open(pid)
        except OSError as error:
            if not isinstance(error, ProcessLookupError):
                _LOG.error("process %d cannot be let in as %s: %s", pid, who, error)
            return False
        self._inside[pid] = watch
        self._selector.register(watch, selectors.EVENT_READ, partial(self._gone, pid, who))
        return True

    def close(self) -> None:
        """Watch nobody any more."""
        for watch in self._inside.values():
            self._selector.unregister(watch)
            os.close(watch)
        self._inside.clear()

    def _gone(self, pid: int, who: Identity, now: float) -> None:
        watch = self._inside.pop(pid)
        self._selector.unregister(watch)
        os.close(watch)
        self._left(who, now)
