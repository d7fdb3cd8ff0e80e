"""The spooler, with the names of `uwsgiconf`: its messages and calls are tasks.

>>> @Spooler.task(postpone=timedelta(seconds=1))
... def resize(path: str, width: int = 100): ...
>>> resize("cat.png", width=200)                                  # doctest: +SKIP
'1f-09ab5c3d7e21f604'
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ParamSpec, Self, overload

import msgspec

from heliograph import engines
from heliograph._core.tasks.options import MAX_COUNT, TaskOptions, check_priority
from heliograph._core.tasks.targets import DEFAULT_TARGET
from heliograph._core.tasks.times import duration
from heliograph._core.tasks.values import TaskRow, TaskStatus
from heliograph.exceptions import RegistrationError, TargetError, TaskArgumentError
from heliograph.models import MICROSECONDS
from heliograph.runtime.spooler_tasks import (
    ResultProcessed,
    ResultRescheduled,
    ResultSkipped,
    SpoolerTask,
    TaskResult,
    conclude,
    process_message,
    spooler_task_types,
)
from heliograph.runtime.task_calls import enqueue_call, pickled, task_of_calls
from heliograph.runtime.task_hosting import register
from heliograph.runtime.task_options import checked_options
from heliograph.runtime.task_type import Task
from heliograph.tasks.hosting import known_topology, store
from heliograph.tasks.registry import TASKS, define

__all__ = [
    "ResultProcessed",
    "ResultRescheduled",
    "ResultSkipped",
    "Spooler",
    "SpoolerTask",
    "TaskResult",
    "spooler_task_types",
]

_P = ParamSpec("_P")

MESSAGES = "heliograph.runtime.spooler:message"
"""Name of the task that processes a message of `send_message_raw`."""

DEFAULT_PERIOD = 30.0
"""Seconds from a failed or rescheduled attempt to the next one, as uWSGI scans its directory by default."""

_TARGETS = (DEFAULT_TARGET, "spooler")
_period = DEFAULT_PERIOD


class _TaskDecorator:
    """`Spooler.task` and `spooler.task`."""

    def __get__(self, instance: Spooler | None, owner: type[Spooler]) -> _Decorator:
        return _Decorator(instance)


class _Decorator:
    """The decorator of a spooler, or of the first one."""

    def __init__(self, spooler: Spooler | None) -> None:
        self._spooler = spooler

    @overload
    def __call__(self, func: Callable[_P, object], /) -> Callable[_P, str]: ...
    @overload
    def __call__(
        self,
        func: None = None,
        /,
        *,
        priority: int | None = None,
        postpone: datetime | timedelta | None = None,
        allow_pickle: bool = False,
    ) -> Callable[[Callable[_P, object]], Callable[_P, str]]: ...
    def __call__(
        self,
        func: Callable[_P, object] | None = None,
        /,
        *,
        priority: int | None = None,
        postpone: datetime | timedelta | None = None,
        allow_pickle: bool = False,
    ) -> Callable[_P, str] | Callable[[Callable[_P, object]], Callable[_P, str]]:
        """Decorator: run calls of the function in the spooler. A call stores a task and returns its id.

        A return value ends the task. After an exception, `ResultRescheduled`, `uwsgi.SPOOL_RETRY` or
        `uwsgi.SPOOL_IGNORE` it runs again, when the period has passed.

        Args:
            priority: -100 to 100. A larger one runs later. Default: 0.
            postpone: Do not begin before this time: an aware datetime, or a timedelta from the call.
            allow_pickle: Pickle the arguments, so that they may have any type. Otherwise they have types of JSON, and
                those that the annotations of the function say.

        Raises:
            InvalidTask: The function cannot be a task, or an option is invalid.
            RegistrationError: This process cannot register for the other processes.
        """
        _check_spooler(self._spooler)
        later = _priority(priority)

        def decorate(func: Callable[_P, object]) -> Callable[_P, str]:
            task = task_of_calls(
                func, allow_pickle=allow_pickle, conclude=conclude, retries=MAX_COUNT, priority=later, **_pauses()
            )

            @functools.wraps(func)
            def spooled(*args: _P.args, **kwargs: _P.kwargs) -> str:
                return enqueue_call(_using(task, later, postpone), args, kwargs, allow_pickle=allow_pickle)

            return spooled

        return decorate if func is None else decorate(func)


class Spooler:
    """A spooler of the server. heliograph starts one with `--spooler DIR`, and `name` is that directory.

    Without a spooler its tasks run in a mule, else in a worker.
    """

    task = _TaskDecorator()

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"Spooler({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spooler) and other.name == self.name

    def __hash__(self) -> int:
        return hash((Spooler, self.name))

    @classmethod
    def send_message_raw(
        cls,
        message: str,
        *,
        spooler: str | Spooler | None = None,
        priority: int | None = None,
        postpone: datetime | timedelta | None = None,
        payload: Any = None,
        allow_pickle: bool = False,
    ) -> str:
        """Send a message to the spooler, and return the id of its task.

        The class of `SpoolerTask` whose `type_id` is in the message (`ucfg_TYPE`) processes it, else `SpoolerTask`.

        Args:
            message: Text.
            spooler: A spooler, or its directory.
            priority: -100 to 100. A larger one runs later. Default: 0.
            postpone: Do not begin before this time: an aware datetime, or a timedelta from now.
            payload: A value of the types of JSON.
            allow_pickle: Pickle the payload, so that it may have any type.

        Raises:
            TargetError: The server does not have the spooler.
            TaskArgumentError: The message is no text, or the payload cannot be kept.
            InvalidTask: An option is invalid.
            NoEngine, ServerNotReady, StoreError: See `Task.enqueue`.
        """
        _check_spooler(spooler)
        _check_spooler_outside(spooler)
        task = _using(_messages(), _priority(priority), postpone)
        if allow_pickle:
            return task.enqueue(message, pickled=pickled(task.definition, payload)).id
        try:
            return task.enqueue(message, payload).id
        except TaskArgumentError as error:
            if error.argument != "payload":
                raise
            text = f"{error} With allow_pickle=True it may have other types."
            raise TaskArgumentError(text, error.argument) from None

    @classmethod
    def get_spoolers(cls) -> list[Self]:
        """Return the spoolers of the server. Without a server there are none."""
        found: str | list[str] = engines.current().opt().get("spooler", [])
        return [cls(name) for name in (found if isinstance(found, list) else [found])]

    @classmethod
    def get_by_basename(cls, name: str) -> Self | None:
        """Return the first spooler whose directory has this name, without the path. None: there is none."""
        return next((found for found in cls.get_spoolers() if os.path.basename(found.name) == name), None)  # noqa: PTH119

    @classmethod
    def get_pids(cls) -> list[int]:
        """Return the process ids of the spoolers."""
        return list(engines.current().spooler_pids())

    @classmethod
    def set_period(cls, seconds: float) -> bool:
        """Set the time from a failed or rescheduled attempt to the next one, for tasks that this process sends.

        Return True. Nothing is polled: a new task runs at once.

        Raises:
            InvalidTask: This is no number of seconds.
        """
        global _period
        _period = duration("seconds", seconds) / MICROSECONDS
        return True

    @classmethod
    def get_tasks(cls) -> list[str]:
        """Return the ids of the spooler's tasks that have not finished, the oldest first."""
        found: list[str] = []
        for target in _TARGETS:
            last = None
            while rows := store().find(statuses=_UNFINISHED, target=target, after=last, limit=1000):
                last = rows[-1].id
                found += [row.id for row in rows]
        return sorted(found, key=lambda task_id: int(task_id.partition("-")[0], 16))

    @classmethod
    def read_task_file(cls, path: str) -> dict[str, Any]:
        """Return the facts of a task by its id: there are no files. Empty: there is no such task."""
        row = store().get(os.path.basename(path))  # noqa: PTH119
        return {} if row is None else _facts(row)


_UNFINISHED = (TaskStatus.READY, TaskStatus.RUNNING)


def _facts(row: TaskRow) -> dict[str, Any]:
    args, kwargs = msgspec.json.decode(row.arguments)
    facts = {
        "spooler_task_name": row.id,
        "func": row.name,
        "args": args,
        "kwargs": kwargs,
        "priority": -row.priority,
        "at": row.run_after // MICROSECONDS or None,
        "status": row.status.value,
    }
    if row.name == MESSAGES:
        facts["msg"], facts["payload"] = args[0], args[1] if len(args) > 1 else None
    return facts


def _check_spooler(spooler: str | Spooler | None) -> None:
    topology = engines.current().topology
    if spooler is None or topology is None:
        return
    known = [str(found) for found in Spooler.get_spoolers()]
    if str(spooler) not in known:
        raise TargetError(str(spooler), "the server has no such spooler", tuple(known))


def _check_spooler_outside(spooler: str | Spooler | None) -> None:
    """Check a spooler in a process that no server started. Only the directory of the tasks is known there."""
    if spooler is None or engines.current().topology is not None:
        return
    topology, directory = known_topology(), store().directory
    if topology is None or directory is None or topology.spoolers > 1:
        return
    known = (directory,) if topology.spoolers else ()
    if os.path.realpath(str(spooler)) not in map(os.path.realpath, known):
        raise TargetError(str(spooler), "the server has no such spooler", known)


def _priority(priority: int | None) -> int:
    """Return the priority of the task: uwsgiconf's are the other way round."""
    return -check_priority(0 if priority is None else priority)


def _pauses() -> dict[str, float]:
    return {"backoff": _period, "max_backoff": _period}


def _using(task: Task[..., Any], priority: int, postpone: datetime | timedelta | None) -> Task[..., Any]:
    return task.using(priority=priority, run_after=postpone, backoff=_period, max_backoff=_period)


def _messages() -> Task[..., Any]:
    """Return the task that processes messages. Register it if that has not been done."""
    definition = TASKS.definitions.get(MESSAGES)
    if definition is None:
        options = checked_options(TaskOptions(), {"retries": MAX_COUNT, **_pauses()})
        definition = define(process_message, MESSAGES, options)
        with contextlib.suppress(RegistrationError):  # this process only sends
            register(definition)
    return Task(definition)


_messages()
