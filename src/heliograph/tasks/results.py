"""The state and the result of a task, as it was at one moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from heliograph._core.durations import check_seconds
from heliograph._core.tasks.times import moment
from heliograph._core.tasks.values import TaskRow, TaskStatus
from heliograph.exceptions import TaskNotFinished, TaskNotFound
from heliograph.tasks.hosting import now, store
from heliograph.tasks.waiting import in_pool, in_thread, wait_for_end


class TaskError(NamedTuple):
    """The end of a failed attempt."""

    exception_class_path: str
    """Module and name of the exception: `shop.errors.MailError`."""

    traceback: str


class Progress(NamedTuple):
    """The part of its work that the running attempt has done."""

    done: float
    total: float | None = None
    text: str = ""


_ERROR = msgspec.json.Decoder(dict[str, str])


class TaskResult:
    """A task: its status, its attempts, and its return value or errors.

    It shows one moment. `refresh()` and `wait()` update it. Times are in UTC, None as long as there is none.
    """

    __slots__ = ("_id", "_known")

    def __init__(self, task_id: str, row: TaskRow | Callable[[], TaskRow]) -> None:
        """`row` may be a function that makes the row when it is first looked at."""
        self._id = task_id
        self._known = row

    @property
    def id(self) -> str:
        """Id of the task. `get_result` takes it."""
        return self._id

    @property
    def row(self) -> TaskRow:
        """The task as the store has it."""
        return self._row

    @property
    def _row(self) -> TaskRow:
        if not isinstance(self._known, TaskRow):
            self._known = self._known()
        return self._known

    @property
    def name(self) -> str:
        """Module and name of the function: `shop.tasks:send_mail`."""
        return self._row.name

    @property
    def status(self) -> TaskStatus:
        """READY, RUNNING, SUCCESSFUL, FAILED, DEAD, CANCELLED or EXPIRED."""
        return self._row.status

    @property
    def is_finished(self) -> bool:
        """True if the task will not run again, unless somebody asks for it."""
        return self._row.status.is_finished

    @property
    def args(self) -> list[Any]:
        """The positional arguments, as JSON has them."""
        positional: list[Any] = msgspec.json.decode(self._row.arguments)[0]
        return positional

    @property
    def kwargs(self) -> dict[str, Any]:
        """The named arguments, as JSON has them."""
        named: dict[str, Any] = msgspec.json.decode(self._row.arguments)[1]
        return named

    @property
    def target(self) -> str:
        """The processes that may run it: `spooler`, `mule2` and so on. `default`: the spooler, else a mule."""
        return self._row.target

    @property
    def priority(self) -> int:
        """-100 to 100. A larger one runs earlier."""
        return self._row.priority

    @property
    def unique(self) -> str | None:
        """The unique key, None without one."""
        return self._row.unique

    @property
    def run_after(self) -> datetime | None:
        """The time before which it does not begin: the one that was asked for, or that of the next attempt."""
        return moment(self._row.run_after)

    @property
    def expires(self) -> datetime | None:
        """The time from which on it does not begin any more."""
        return moment(self._row.expires)

    @property
    def enqueued_at(self) -> datetime | None:
        """The time at which it was stored."""
        return moment(self._row.enqueued_at)

    @property
    def started_at(self) -> datetime | None:
        """The beginning of the first attempt."""
        return moment(self._row.first_attempt_at)

    @property
    def last_attempted_at(self) -> datetime | None:
        """The beginning of the last attempt."""
        return moment(self._row.last_attempt_at)

    @property
    def finished_at(self) -> datetime | None:
        """The end of the last attempt, or the time at which the task was cancelled or expired."""
        return moment(self._row.finished_at)

    @property
    def attempts(self) -> int:
        """Number of attempts that have begun. Those that the server interrupted do not count."""
        return self._row.attempts

    @property
    def worker_ids(self) -> list[str]:
        """The process of each attempt, oldest first: `mule1 (4711)`."""
        return list(self._row.workers)

    @property
    def errors(self) -> list[TaskError]:
        """The end of each failed attempt, oldest first."""
        found = map(_ERROR.decode, self._row.errors)
        return [TaskError(error.get("type", ""), error.get("traceback", "")) for error in found]

    @property
    def progress(self) -> Progress | None:
        """The last progress that the function has told, None if it has told none."""
        return None if self._row.progress is None else _progress(self._row.progress)

    @property
    def return_value(self) -> Any:
        """The return value of the function, as JSON has it.

        Raises:
            ValueError: The task has failed, or has not finished yet.
        """
        if self.status is TaskStatus.SUCCESSFUL:
            return None if self._row.value is None else msgspec.json.decode(self._row.value)
        if self.is_finished:
            raise ValueError(f"Task failed: {self.id} is {self.status}, so it has no return value. Look at its errors.")
        raise ValueError(f"Task has not finished yet: {self.id} is {self.status}. Use wait() or refresh().")

    def refresh(self) -> None:
        """Update this object to the state of the task now.

        Raises:
            TaskNotFound: The task was removed since its end.
            StoreError: The store cannot be read.
        """
        self._known = row_of(self.id)

    async def arefresh(self) -> None:
        """Do what `refresh` does, without blocking the event loop."""
        await in_pool(self.refresh)

    def wait(self, timeout: float | None = None) -> TaskResult:
        """Wait until the task has finished, update this object, and return it.

        Args:
            timeout: Seconds to wait. None: no limit.

        Raises:
            TaskNotFinished: The task has not finished in time. This object is up to date.
            TaskNotFound: The task was removed since its end.
            ValueError: The timeout is negative.
        """
        return self._wait(timeout, None)

    def __await__(self) -> Generator[Any, None, TaskResult]:
        """Wait until the task has finished, without blocking the event loop: `await result`."""
        return self._await().__await__()

    def cancel(self) -> bool:
        """Cancel the task if it has not begun, and update this object.

        True: it will never run. False: it has begun, or has finished.
        """
        cancelled = store().cancel(self.id, now())
        self.refresh()
        return cancelled

    async def acancel(self) -> bool:
        """Do what `cancel` does, without blocking the event loop."""
        return await in_pool(self.cancel)

    async def _await(self) -> TaskResult:
        given_up = threading.Event()
        try:
            return await in_thread(self._wait, None, given_up)
        except BaseException:  # the coroutine was cancelled
            given_up.set()
            raise

    def _wait(self, timeout: float | None, given_up: threading.Event | None) -> TaskResult:
        if timeout is not None:
            timeout = check_seconds("timeout", timeout)
        if not self.is_finished:
            found = wait_for_end(self.id, timeout, given_up)
            if found is None:
                raise TaskNotFound(self.id)
            self._known = found
        if not self.is_finished:
            raise TaskNotFinished(self.id, timeout or 0.0)
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TaskResult) and other._row == self._row

    def __hash__(self) -> int:
        return hash((TaskResult, self.id))

    def __repr__(self) -> str:
        return f"TaskResult({self.name!r}, id={self.id!r}, status={self.status.value}, attempts={self.attempts})"


def _progress(data: bytes) -> Progress:
    found = msgspec.json.decode(data)
    return Progress(found["done"], found.get("total"), found.get("text", ""))


def row_of(task_id: object) -> TaskRow:
    """Return a task. Raises: TaskNotFound: there is none of this id."""
    row = store().get(task_id) if isinstance(task_id, str) else None
    if row is None:
        raise TaskNotFound(str(task_id))
    return row


def get_result(task_id: str) -> TaskResult:
    """Return the task of an id.

    Raises:
        TaskNotFound: There is no such task, or it was removed since its end.
        NoEngine: No server is known here.
        StoreError: The store cannot be read.
    """
    return TaskResult(task_id, row_of(task_id))


async def aget_result(task_id: str) -> TaskResult:
    """Do what `get_result` does, without blocking the event loop."""
    return await in_pool(get_result, task_id)
