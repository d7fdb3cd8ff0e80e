"""The tasks that the page shows one by one: those that failed, those that run, and those that wait."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from heliograph._core.tasks.values import TaskRow, TaskStatus
from heliograph.exceptions import StoreError
from heliograph.insights.model import ServerState
from heliograph.models import MICROSECONDS

if TYPE_CHECKING:
    from heliograph.store.sqlite import SqliteStore

MAX_LISTED = 25
"""Number of tasks of each kind that the page shows."""
REFRESH = 5.0
"""Seconds after which the lists are read again, although no number of tasks has changed."""
_MAX_TRACEBACK = 20_000
_BITE = 500
"""Tasks that one transaction retries."""
_FAILED = (TaskStatus.FAILED, TaskStatus.DEAD)


@dataclass(frozen=True, slots=True)
class ListedTask:
    """A task on the page."""

    id: str
    name: str
    target: str
    status: str
    at: float
    """Time at which it finished, was begun, or can begin."""
    attempts: int
    deaths: int
    worker: str
    """Process of the last attempt, empty before the first one."""
    error: str
    """Type of the last error, empty if there is none."""
    traceback: str


@dataclass(frozen=True, slots=True)
class TaskLists:
    """The tasks on the page, newest first."""

    failed: tuple[ListedTask, ...] = ()
    running: tuple[ListedTask, ...] = ()
    waiting: tuple[ListedTask, ...] = ()


NO_TASKS = TaskLists()


class TaskListReader:
    """Reads the lists from the store of a server, and changes tasks in it."""

    def __init__(self) -> None:
        self._directory = ""
        self._store: SqliteStore | None = None
        self._lists = NO_TASKS
        self._counts: object = None
        self._read_at = 0.0

    def read(self, state: ServerState) -> TaskLists:
        """Return the lists. Those before are returned if nothing has changed, or if the store cannot be read."""
        if state.store is None or state.store.fault is not None:
            return NO_TASKS
        counts = [task.counts for task in state.store.tasks]
        now = time.monotonic()
        if counts == self._counts and now - self._read_at < REFRESH:
            return self._lists
        try:
            self._lists = self._find(self._open(state.store.directory))
        except (StoreError, OSError):
            return self._lists  # the state has the fault
        self._counts, self._read_at = counts, now
        return self._lists

    def retry(self, directory: str, task_id: str) -> str:
        """Run a finished task again. Return the reason for which that failed, empty if it did not."""
        store = self._open(directory)
        reason = store.retry([task_id], _now()).get(task_id, "")
        if not reason:
            _wake(directory, store.get(task_id))
        return reason

    def retry_failed(self, directory: str, name: str) -> int:
        """Run all failed tasks of a function again. Return their number."""
        store, retried, last = self._open(directory), 0, None
        while rows := store.find(statuses=[TaskStatus.FAILED], name=name, after=last, limit=_BITE):
            last = rows[-1].id
            retried += len(rows) - len(store.retry([row.id for row in rows], _now()))
            for row in {row.target: row for row in rows}.values():
                _wake(directory, row)
        return retried

    def cancel(self, directory: str, task_id: str) -> str:
        """Cancel a task that has not begun. Return the reason for which that failed, empty if it did not."""
        store = self._open(directory)
        if store.cancel(task_id, _now()):
            return ""
        row = store.get(task_id)
        if row is None:
            return "there is no such task"
        return "it has begun" if row.status is TaskStatus.RUNNING else f"it is {row.status.value}, and has finished"

    def close(self) -> None:
        """Close the store."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def _open(self, directory: str) -> SqliteStore:
        from heliograph.store.sqlite import SqliteStore, uptime  # noqa: PLC0415 - servers without tasks do not need it

        if self._store is None or directory != self._directory:
            self.close()
            self._store = SqliteStore(directory, sync=True, uptime=uptime)
            self._directory = directory
        return self._store

    @staticmethod
    def _find(store: SqliteStore) -> TaskLists:
        def found(*statuses: TaskStatus) -> tuple[ListedTask, ...]:
            return _listed(store.find(statuses=statuses, limit=MAX_LISTED))

        return TaskLists(found(*_FAILED), found(TaskStatus.RUNNING), found(TaskStatus.READY))


def _now() -> int:
    return time.time_ns() // 1000


def _wake(directory: str, row: TaskRow | None) -> None:
    from heliograph.engines.detached import DetachedEngine  # noqa: PLC0415 - only a change needs it

    if row is not None:
        DetachedEngine(directory=Path(directory)).wake(row.target)


def _listed(rows: Sequence[TaskRow]) -> tuple[ListedTask, ...]:
    return tuple(map(_one, rows))


def _one(row: TaskRow) -> ListedTask:
    error: dict[str, Any] = _decoded(row.errors[-1]) if row.errors else {}
    traceback = str(error.get("traceback", ""))
    at = row.finished_at or (row.last_attempt_at if row.status is TaskStatus.RUNNING else row.run_after)
    return ListedTask(
        id=row.id,
        name=row.name,
        target=row.target,
        status=row.status.value,
        at=(at or row.enqueued_at) / MICROSECONDS,
        attempts=row.attempts,
        deaths=row.deaths,
        worker=row.workers[-1] if row.workers else "",
        error=str(error.get("type", "")),
        traceback=traceback[-_MAX_TRACEBACK:],
    )


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
