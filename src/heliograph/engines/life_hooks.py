"""The hooks at the start and at the end of a process that takes signals and tasks, for every engine."""

from __future__ import annotations

import os
from collections.abc import Callable

Hook = Callable[[], None]


class LifeHooks:
    """The part of the role `Processes` that concerns the start and the end of this process."""

    def __init__(self) -> None:
        self._start_hooks: list[Hook] = []
        self._stop_hooks: list[Hook] = []
        self._started_in = 0
        """The process id with which the hooks for the start ran. A forked process has not started."""

    def on_start(self, hook: Hook) -> None:
        if self._started_in == os.getpid():
            hook()
        else:
            self._start_hooks.append(hook)

    def on_stop(self, hook: Hook) -> None:
        self._stop_hooks.append(hook)

    def run_start_hooks(self) -> None:
        """Run the hooks for the start, in their order. An exception of a hook ends this: the process must not start."""
        for hook in self._start_hooks:
            hook()
        self._started_in = os.getpid()

    def run_stop_hooks(self) -> None:
        """Run the hooks for the end, the last one first, if this process has started. A second call does nothing."""
        if self._started_in != os.getpid():
            return
        self._started_in = 0
        for hook in reversed(self._stop_hooks):
            hook()
