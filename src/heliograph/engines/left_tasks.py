"""Tasks that wait in the store that a server would have without `--spooler`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from heliograph._core.tasks.values import TaskStatus
from heliograph.exceptions import StoreError
from heliograph.ipc.state_directory import store_without_spooler
from heliograph.ipc.store_directory import DATABASE, running_server

_LOG = logging.getLogger("heliograph.tasks")

_TEXT = (
    "Tasks wait in %s, from a start without --spooler (number: %d). This server does not run them, since its tasks are "
    "in %s. To run them, start it once without --spooler"
)


@dataclass(frozen=True, slots=True)
class LeftTasks:
    """Tasks that no server runs."""

    directory: Path
    count: int


def find_left_tasks(directory: Path) -> LeftTasks | None:
    """Return the waiting tasks of the store without `--spooler`, for the `directory` of one. None: there are none."""
    try:
        left = store_without_spooler(directory)
        if left is None or not (left / DATABASE).exists() or running_server(str(left)) is not None:
            return None
        count = _count_ready(left)
    except (OSError, StoreError):  # another command reports a fault of that store
        return None
    return LeftTasks(left, count) if count else None


def warn_of_left_tasks(directory: Path) -> None:
    """Log a warning if there are such tasks."""
    left = find_left_tasks(directory)
    if left is not None:
        _LOG.warning(_TEXT, left.directory, left.count, directory)


def left_tasks_text(left: LeftTasks, directory: Path) -> str:
    """Return the warning for people."""
    return _TEXT % (left.directory, left.count, directory)


def _count_ready(directory: Path) -> int:
    from heliograph.store.sqlite import SqliteStore, uptime  # noqa: PLC0415 - it imports sqlite3

    store = SqliteStore(str(directory), sync=True, uptime=uptime)
    try:
        counts = store.counts(0)
    finally:
        store.close()
    return sum(count for (_, _, status), count in counts.items() if status is TaskStatus.READY)
