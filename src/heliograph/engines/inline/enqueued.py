"""The tasks of an inline engine, as a test looks at them."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from heliograph._core.tasks.times import moment
from heliograph._core.tasks.values import TaskRow, TaskStatus

if TYPE_CHECKING:
    from heliograph.interfaces.store import TaskStore
    from heliograph.store.memory import MemoryStore

_RETRY = "heliograph.tasks.retrying.Retry"
_FAILED = (TaskStatus.FAILED, TaskStatus.DEAD)
_UNFINISHED = (TaskStatus.READY, TaskStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class Enqueued:
    """A task that was enqueued, with its status now. Arguments are as JSON has them."""

    name: str
    """Module and name of the function: `shop.tasks:send_mail`."""
    args: list[Any]
    kwargs: dict[str, Any]
    status: TaskStatus
    attempts: int
    target: str
    priority: int
    run_after: datetime | None
    unique: str | None
    id: str
    error: str
    """Traceback of the last attempt that failed. Empty: none has failed."""


class EnqueuedTasks:
    """The part of an inline engine that shows its tasks to a test."""

    _store: MemoryStore | None = None

    def task_store(self) -> TaskStore:
        """Return the store of this engine, which is in memory."""
        if self._store is None:
            from heliograph.store.memory import MemoryStore  # noqa: PLC0415 - only tests of tasks need it

            self._store = MemoryStore()
        return self._store

    @property
    def enqueued(self) -> tuple[Enqueued, ...]:
        """All tasks that were enqueued, the oldest first, with their status now."""
        return tuple(enqueued(row) for row in reversed(self.task_store().find(limit=sys.maxsize)))

    def take_failed_tasks(self) -> tuple[Enqueued, ...]:
        """Return the tasks that have failed since the last call, and that no `TaskResult` was read of since.

        Tasks whose last attempt failed and that wait for another one are among them, unless they raised `Retry`.
        The pytest fixture fails a test only for tasks that this method would return at its end.
        """
        if self._store is None:
            return ()
        read = self._store.read
        found = [row for row in reversed(self._store.find(limit=sys.maxsize)) if _has_failed(row)]
        new = [row for row in found if (row.id, len(row.errors)) not in read]
        read.update((row.id, len(row.errors)) for row in new)
        return tuple(map(enqueued, new))


def _has_failed(row: TaskRow) -> bool:
    if row.status in _FAILED:
        return True
    if row.status not in _UNFINISHED or not row.errors or not row.attempts:
        return False
    return bool(json.loads(row.errors[-1])["type"] != _RETRY)


def enqueued(row: TaskRow) -> Enqueued:
    """Return a task of the store as a test looks at it."""
    args, kwargs = json.loads(row.arguments)
    return Enqueued(
        row.name,
        args,
        kwargs,
        row.status,
        row.attempts,
        row.target,
        row.priority,
        moment(row.run_after),
        row.unique,
        row.id,
        json.loads(row.errors[-1])["traceback"] if row.errors else "",
    )
