"""A store of tasks in SQLite, for the processes of a server and for those that enqueue from outside.

Each process writes its rows itself. `Database` has the rules that make this safe. Everything is opened at the first use
in a process, so an object may be made before a fork.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence

from heliograph._core.tasks.limits import NO_LIMITS
from heliograph._core.tasks.timings import TaskTimings
from heliograph._core.tasks.values import NewTask, Paused, Stored, TaskLimits, TaskRow, TaskStatus
from heliograph.exceptions import StoreError
from heliograph.store import (
    cancelling,
    changing,
    copying,
    counting,
    enqueueing,
    function_notes,
    identity,
    reading,
    removing,
    retrying,
    timings,
)
from heliograph.store.database import Database
from heliograph.store.gate import GATE_TIMEOUT
from heliograph.store.owner import SqliteOwner
from heliograph.store.schema import sqlite_warning
from heliograph.store.waiting import Waiter, remove_waiters


def uptime() -> int:
    """Return the microseconds since the machine has started, with those in which it was suspended."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


class SqliteStore:
    """The store in a directory."""

    def __init__(
        self,
        directory: str,
        *,
        sync: bool = True,
        timeout: float = GATE_TIMEOUT,
        uptime: Callable[[], int] | None = None,
    ) -> None:
        """Name a store. Nothing is opened yet.

        Args:
            directory: The directory of the store. It is made when the store is first used.
            sync: A commit waits for the disk (`--task-sync disk`). Else a power cut may cost the last moments.
            timeout: Seconds to wait for a process that holds the gate.
            uptime: Microseconds since some moment, by a clock that cannot be set. With it, `purge` keeps tasks that
                seem old only because the system's clock was set ahead.
        """
        self.database = Database(directory, sync=sync, timeout=timeout)
        self.database.uptime = uptime

    @property
    def directory(self) -> str:
        """The directory of the files of the store."""
        return self.database.directory

    def enqueue(self, tasks: Sequence[NewTask], now: int) -> list[Stored]:
        """Store tasks, all or none."""
        return enqueueing.enqueue(self.database, tasks, now)

    def own(self, now: int) -> SqliteOwner:
        """Make this process one that claims tasks."""
        return SqliteOwner(self.database, now)

    def get(self, task_id: str) -> TaskRow | None:
        """Return a task."""
        return reading.get(self.database, task_id)

    def find(
        self,
        *,
        statuses: Sequence[TaskStatus] = (),
        name: str | None = None,
        target: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> list[TaskRow]:
        """Return tasks, newest first."""
        return reading.find(self.database, statuses=statuses, name=name, target=target, after=after, limit=limit)

    def counts(self, now: int) -> Mapping[tuple[str, str, TaskStatus], int]:  # noqa: ARG002 - as in the interface
        """Return the number of tasks by (name, target, status)."""
        return counting.counts(self.database)

    def next_times(self, now: int) -> Mapping[str, int]:
        """Return the next time at which a task of each target could be claimed."""
        return counting.next_times(self.database, now)

    def cancel(self, task_id: str, now: int) -> bool:
        """Cancel a task that has not begun."""
        return cancelling.cancel(self.database, task_id, now)

    def retry(self, task_ids: Sequence[str], now: int) -> Mapping[str, str]:  # noqa: ARG002 - as in the interface
        """Give finished tasks their attempts and lives again."""
        return retrying.retry(self.database, task_ids)

    def report_progress(self, task_id: str, attempt: int, progress: bytes, now: int) -> bool:  # noqa: ARG002 - as above
        """Keep the progress of a running attempt."""
        return changing.report_progress(self.database, task_id, attempt, progress)

    def pause(self, name: str, by: str, now: int) -> None:
        """Do not begin tasks of this function or target."""
        changing.pause(self.database, name, by, now)

    def resume(self, name: str) -> bool:
        """Take `pause` back."""
        return changing.resume(self.database, name)

    def paused(self) -> Sequence[Paused]:
        """Return the paused functions and targets."""
        return counting.get_paused(self.database)

    def note_functions(self, targets: Mapping[str, str], limits: Mapping[str, TaskLimits] = NO_LIMITS) -> None:
        """Note the functions that processes have, with their targets and limits."""
        self.database.ready()
        function_notes.write(self.database.directory, targets, limits)

    def functions(self) -> Mapping[str, str] | None:
        """Return the functions that were noted last."""
        return function_notes.read(self.database.directory)

    def held_back(self, now: int) -> Mapping[str, str]:
        """Return the functions whose limit or rate lets no attempt begin now."""
        return counting.held_back(self.database, function_notes.read_limits(self.database.directory), now)

    def timings(self) -> Mapping[str, TaskTimings]:
        """Return times and outcomes of the attempts of each function."""
        return timings.read(self.database)

    def next_removal(self) -> int | None:
        """Return when the next finished task is to be removed."""
        return counting.next_removal(self.database)

    def purge(self, now: int, limit: int = 500) -> int:
        """Remove finished tasks whose time to be removed has come."""
        return removing.purge(self.database, now, limit)

    def when_finished(self, task_id: str, timeout: float | None) -> TaskRow | None:
        """Wait until a task has finished."""
        row = self.get(task_id)
        if row is None or row.status.is_finished or (timeout is not None and timeout <= 0):
            return row
        database = self.database
        number = database.ids.read(task_id)
        waiter = Waiter(database.directory)
        try:
            with database.write("wait for a task") as writing:
                writing.connection.execute("INSERT INTO waiter VALUES (?, ?)", (number, waiter.address))
                database.identity.numbers[identity.WAITERS] = 1
            waiter.wait(lambda: (row := self.get(task_id)) is None or row.status.is_finished, timeout)
            return self.get(task_id)
        finally:
            waiter.close()
            with contextlib.suppress(StoreError), database.write("wait for a task") as writing:
                left = remove_waiters(writing.connection, [waiter.address])
                database.identity.numbers[identity.WAITERS] = int(left)

    def backup(self, path: str, progress: Callable[[int, int], None] | None = None) -> None:
        """Write a copy of the store to `path`."""
        copying.backup(self.database, path, progress)

    def check(self) -> list[str]:
        """Return the faults of the store, a line each."""
        return copying.check(self.database)

    def facts(self) -> Mapping[str, object]:
        """Return what people want to know about the store: its place, sizes in bytes, and the version of SQLite."""
        self.database.ready()
        [(pages,)] = self.database.read("PRAGMA page_count")
        [(page_bytes,)] = self.database.read("PRAGMA page_size")
        return {
            "directory": self.database.directory,
            "sync": "disk" if self.database.sync else "process",
            "bytes": pages * page_bytes,
            "log_bytes": self.database.log_size(),
            "sqlite": sqlite3.sqlite_version,
            "warning": sqlite_warning(),
        }

    def close(self) -> None:
        """Close everything that this process has open."""
        self.database.close()
