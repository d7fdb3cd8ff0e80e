"""Tasks: call a function with arguments later, in another process. The task is stored until it has run.

>>> @task(retries=5, backoff=10)
... def send_mail(to: str, subject: str) -> str:
...     return f"{subject} to {to}"
>>> send_mail("a@example.org", subject="Hello")
'Hello to a@example.org'
>>> result = send_mail.enqueue("a@example.org", "Hello")          # doctest: +SKIP
>>> result.wait(timeout=5).return_value                           # doctest: +SKIP
'Hello to a@example.org'
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Concatenate, ParamSpec, Protocol, TypedDict, TypeVar, Unpack, overload

from heliograph._core.tasks.options import TaskOptions
from heliograph._core.tasks.values import TaskStatus
from heliograph.runtime.signals import TypeTarget
from heliograph.runtime.task_hosting import RUNNER, register
from heliograph.runtime.task_options import checked_options
from heliograph.runtime.task_type import Task
from heliograph.tasks.context import TaskContext, progress
from heliograph.tasks.registry import TASKS, define
from heliograph.tasks.results import Progress, TaskError, TaskResult, aget_result, get_result
from heliograph.tasks.retrying import NoRetry, Retry

__all__ = [
    "RUNNER",
    "NoRetry",
    "Progress",
    "Retry",
    "Task",
    "TaskContext",
    "TaskError",
    "TaskOptions",
    "TaskResult",
    "TaskStatus",
    "aget_result",
    "get_result",
    "get_tasks",
    "progress",
    "task",
]

_P = ParamSpec("_P")
_R = TypeVar("_R")


class TaskKeywords(TypedDict, total=False):
    """Keyword arguments of the decorator `task`. Each is optional. Durations are seconds or a timedelta.

    Args:
        target: The processes that may run the task, as for `Signal.register_handler`, but not several at once.
            Default: the spooler, else a mule, else a worker.
        priority: -100 to 100. A larger one runs earlier. Tasks of the same priority run in the order of enqueueing.
        retries: Number of further attempts after an exception. Default: none.
        retry_on: Classes of exceptions. Only after these `retries` applies. Default: after each exception.
        backoff: Time from a failed attempt to the next one. It doubles each time. Default: 1 second.
        max_backoff: The longest such time. Default: 1 hour.
        time_limit: Time of an attempt, after which the server kills the process. It counts as a failed attempt.
        limit: Number of tasks of this function that run at the same time, on the whole server.
        rate: Number of attempts that begin in a period, on the whole server: `"10/m"`, `"100/30s"`.
        expires: Time after which the task does not begin any more.
        unique: Key. While a task of this function with this key waits or runs, `enqueue()` returns that one.
        redeliver: False: a task whose process was killed is not run again, and has failed.
        result_ttl: Time for which the task is kept after its end, at least 10 seconds. Default: a day.
        name: Name of the task, unique in the application. Default: module and name of the function.
    """

    target: TypeTarget
    priority: int
    retries: int | None
    retry_on: type[BaseException] | tuple[type[BaseException], ...] | None
    backoff: float | timedelta
    max_backoff: float | timedelta
    time_limit: float | timedelta | None
    limit: int | None
    rate: str | None
    expires: float | timedelta | None
    unique: str | None
    redeliver: bool
    result_ttl: float | timedelta
    name: str | None


class TaskDecorator(Protocol):
    """The decorator that `task(...)` returns."""

    @overload
    def __call__(self, func: Callable[Concatenate[TaskContext, _P], _R], /) -> Task[_P, _R]: ...
    @overload
    def __call__(self, func: Callable[_P, _R], /) -> Task[_P, _R]: ...


@overload
def task(func: Callable[Concatenate[TaskContext, _P], _R], /) -> Task[_P, _R]: ...
@overload
def task(func: Callable[_P, _R], /) -> Task[_P, _R]: ...
@overload
def task(**options: Unpack[TaskKeywords]) -> TaskDecorator: ...
def task(func: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Decorator: make a function a task, which any process can enqueue. The function stays callable.

    Decorate it where the application is loaded, at the level of a module. If its first parameter is named `context`,
    it gets a `TaskContext`.

    Raises:
        InvalidTask: The function cannot be a task, or an option is invalid.
        TargetError: The server does not have the target.
        RegistrationError: This process cannot register for the other processes.

    >>> @task
    ... def add(a: int, b: int) -> int: ...
    >>> add
    Task('heliograph.runtime.tasks:add', target='default')
    """
    name = options.pop("name", None)
    checked = checked_options(TaskOptions(), options)

    def decorate(func: Callable[..., Any]) -> Task[..., Any]:
        definition = define(func.func if isinstance(func, Task) else func, name, checked)
        register(definition)
        return Task(definition)

    return decorate if func is None else decorate(func)


def get_tasks() -> tuple[Task[..., Any], ...]:
    """Return all tasks of this process."""
    return tuple(map(Task, TASKS.definitions.values()))
