"""The task that runs in this process, for those who look at the server."""

from __future__ import annotations

import os
from time import monotonic_ns

from heliograph._core.stats.activity import Activity


class RunningTasks:
    """Shows the running task in shared memory. If several run, in threads, it shows the one that began last."""

    def __init__(self) -> None:
        self._activity: Activity | None = None

    def show_in(self, activity: Activity) -> None:
        """Show tasks there from now on. Without this call they are not shown: other servers have no such memory."""
        activity.clear()
        self._activity = activity

    def begin(self, task_id: str, name: str) -> None:
        """Show that a task begins."""
        if self._activity is not None:
            self._activity.show_task(name, task_id, monotonic_ns())

    def end(self) -> None:
        """Show that it has ended."""
        if self._activity is not None:
            self._activity.hide_task()

    def forget(self) -> None:
        """Show nothing any more."""
        self._activity = None


RUNNING_TASKS = RunningTasks()
"""That of this process. The memory belongs to it, and not to a process that it forks."""

os.register_at_fork(after_in_child=RUNNING_TASKS.forget)
