"""Actions of a person on a server in `heliograph top`: requests to the master, and changes of tasks in their store.

Every function blocks, and is called in a thread. All raise `ConfigError` or `StoreError`, which is an `OSError`.
"""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliograph._core.tasks.values import TaskRow, TaskStatus
from heliograph.ipc.control_client import RequestFailed, request
from heliograph.ipc.doorbell import ring
from heliograph.ipc.state_directory import SYNC_ENV

if TYPE_CHECKING:
    from heliograph.insights import ProcessStacks
    from heliograph.store.sqlite import SqliteStore

RELOAD_TIMEOUT = 120.0
"""Seconds to wait for the end of a reload."""
_BATCH = 500
"""Tasks that one transaction changes."""
_MAX_SHOWN = 100
"""Tasks of a function that its page lists."""
_ATTENTION = (TaskStatus.FAILED, TaskStatus.DEAD)


class Actions:
    """Acts on the server with a control socket, which `find` returns. It may restart in between."""

    def __init__(self, find: Callable[[], Path]) -> None:
        self._find = find

    def reload(self) -> str:
        """Reload the server, and return a sentence about the result."""
        try:
            result = request(self._find(), "reload", wait=True, timeout=RELOAD_TIMEOUT)
        except RequestFailed as error:
            if error.code != "load_failed":
                raise
            last = str(error).strip().rpartition("\n")[2]
            return f"Reload failed, the old code keeps running: {last}"
        return f"Reload complete (generation {result['generation']})"

    def stack(self, process: str) -> str:
        """Return the Python frames of all threads of a process."""
        from heliograph.insights import read_stacks  # noqa: PLC0415 - only this page needs it

        try:
            return "\n".join(line for found in read_stacks(self._find(), [process]) for line in stack_lines(found))
        except RequestFailed as error:
            if error.code != "unknown_verb":
                raise
            return "Not available: the server has an earlier version of heliograph."


def stack_lines(found: ProcessStacks) -> Iterator[str]:
    """Yield the stacks of a process as lines."""
    if found.error is not None:
        yield f"Not available: {found.error}"
    for thread in found.threads:
        yield f"Thread {thread.name or thread.id} (most recent call first):"
        for remark in thread.remarks:
            yield f"  {remark}"
        for frame in reversed(thread.frames):  # so that it is visible without scrolling
            yield f"  {frame.function}  {frame.file or '?'}:{frame.line or '?'}"


def tasks_of(directory: str, name: str) -> list[dict[str, Any]]:
    """Return the tasks of a function: first those that have failed, then the newest of the others."""
    from heliograph.insights.tasks import StoreView  # noqa: PLC0415 - it needs msgspec

    with _store(directory) as store:
        others = [status for status in TaskStatus if status not in _ATTENTION]
        rows = store.find(statuses=_ATTENTION, name=name, limit=_MAX_SHOWN)
        rows += store.find(statuses=others, name=name, limit=_MAX_SHOWN)
        view = StoreView(store, _now())
        return [view.describe(row) for row in rows]


def retry(directory: str, task_ids: Sequence[str]) -> str:
    """Give finished tasks their attempts again. Return a sentence about the result."""
    with _store(directory) as store:
        refused: dict[str, str] = {}
        for start in range(0, len(task_ids), _BATCH):
            ids = list(task_ids[start : start + _BATCH])
            targets = {row.target for row in map(store.get, ids) if row is not None}
            refused.update(store.retry(ids, _now()))
            _wake(directory, targets)
    return _summary("Retried", len(task_ids) - len(refused), refused)


def retry_failed(directory: str, name: str) -> str:
    """Retry all tasks of a function that have failed."""
    return retry(directory, _ids(directory, name, TaskStatus.FAILED))


def cancel(directory: str, task_ids: Sequence[str]) -> str:
    """Cancel tasks that have not begun. Return a sentence about the result."""
    with _store(directory) as store:
        now = _now()
        refused = {one: "it has begun or finished" for one in task_ids if not store.cancel(one, now)}
    return _summary("Cancelled", len(task_ids) - len(refused), refused)


def cancel_ready(directory: str, name: str) -> str:
    """Cancel all tasks of a function that have not begun."""
    return cancel(directory, _ids(directory, name, TaskStatus.READY))


def pause(directory: str, name: str) -> str:
    """Begin no tasks of a function or target until `resume`."""
    with _store(directory) as store:
        store.pause(name, f"{_user()} (heliograph top)", _now())
    return f"Paused {name}. Tasks that run now finish"


def resume(directory: str, name: str) -> str:
    """Begin tasks of a function or target again."""
    with _store(directory) as store:
        targets = {where for task, where, _ in store.counts(_now()) if name in {task, where}}
        was_paused = store.resume(name)
    _wake(directory, targets)
    return f"Resumed {name}" if was_paused else f"{name} was not paused"


def _ids(directory: str, name: str, status: TaskStatus) -> list[str]:
    with _store(directory) as store:
        return [row.id for row in _all(store, name, status)]


def _all(store: SqliteStore, name: str, status: TaskStatus) -> Iterator[TaskRow]:
    last = None
    while rows := store.find(statuses=(status,), name=name, after=last, limit=_BATCH):
        yield from rows
        last = rows[-1].id


@contextmanager
def _store(directory: str) -> Generator[SqliteStore]:
    from heliograph.store.sqlite import SqliteStore, uptime  # noqa: PLC0415 - it imports sqlite3

    store = SqliteStore(directory, sync=os.environ.get(SYNC_ENV, "disk") == "disk", uptime=uptime)
    try:
        yield store
    finally:
        store.close()


def _wake(directory: str, targets: set[str]) -> None:
    for target in sorted(targets):
        ring(directory, target)


def _summary(done: str, count: int, refused: dict[str, str]) -> str:
    text = f"{done} {count} task" if count == 1 else f"{done} {count} tasks"
    if not refused:
        return text
    task_id, reason = next(iter(refused.items()))
    return f"{text}, {len(refused)} were refused. {task_id}: {reason}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def _now() -> int:
    return time.time_ns() // 1000
