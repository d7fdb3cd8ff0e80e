"""The class of tasks: a function that can be called now, and enqueued to be called later."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Generic, ParamSpec, TypedDict, TypeVar, Unpack, cast

import msgspec

from heliograph._core.tasks.options import TaskOptions
from heliograph._core.tasks.times import Moment, instant
from heliograph.exceptions import InvalidTask
from heliograph.runtime.signals import TypeTarget
from heliograph.runtime.task_hosting import check_woken
from heliograph.runtime.task_options import checked_options
from heliograph.tasks.context import TaskContext
from heliograph.tasks.enqueueing import Order, enqueue, enqueue_one
from heliograph.tasks.hosting import now
from heliograph.tasks.registry import TaskDefinition
from heliograph.tasks.results import TaskResult, get_result
from heliograph.tasks.retrying import Overrides
from heliograph.tasks.waiting import in_pool

_P = ParamSpec("_P")
_R_co = TypeVar("_R_co", covariant=True)

_OF_FUNCTION = ("limit", "rate", "retry_on")
"""Options of the function, which hold for all of its tasks."""

_OVERRIDABLE = ("retries", "backoff", "max_backoff", "time_limit")
"""Options of the function that a task keeps if `using()` changes them."""


class UsingKeywords(TypedDict, total=False):
    """Keyword arguments of `Task.using`. Each is optional. `TaskKeywords` explains those that the decorator has too.

    Args:
        run_after: Do not begin before this time: an aware datetime, or a timedelta from the time of enqueueing.
        expires: Do not begin at or after this time: an aware datetime, or a timedelta from the time of enqueueing.
    """

    run_after: Moment | None
    expires: Moment | None
    target: TypeTarget
    priority: int
    unique: str | None
    retries: int | None
    backoff: float | timedelta
    max_backoff: float | timedelta
    time_limit: float | timedelta | None
    redeliver: bool
    result_ttl: float | timedelta


class Task(Generic[_P, _R_co]):
    """A function that is a task. A call of it runs the function here and now, without the store."""

    __wrapped__: Any

    def __init__(self, definition: TaskDefinition, order: Order | None = None) -> None:
        """Use the decorator `task` instead."""
        self.definition = definition
        self._order = order or Order(definition.options)
        functools.update_wrapper(cast("Any", self), definition.func)

    @property
    def name(self) -> str:
        """Name of the task: `shop.tasks:send_mail`."""
        return self.definition.name

    @property
    def func(self) -> Any:
        """The decorated function."""
        return self.definition.func

    @property
    def order(self) -> Order:
        """The options with which this task is enqueued."""
        return self._order

    @property
    def options(self) -> TaskOptions:
        """The options of this task, with the changes of `using()`."""
        return self._order.options

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R_co:
        """Call the function here and now. A function that takes a context gets one whose progress goes nowhere."""
        if self.definition.takes_context and not (args and isinstance(args[0], TaskContext)):
            return cast("_R_co", self.func(TaskContext(self.name), *args, **kwargs))
        return cast("_R_co", self.func(*args, **kwargs))

    def enqueue(self, *args: _P.args, **kwargs: _P.kwargs) -> TaskResult:
        """Store a task that calls the function with these arguments. When this method has returned, it will run.

        Raises:
            TaskArgumentError: The function does not take these arguments, or one of them cannot be kept as JSON.
            InvalidTask: Other processes would not find the function, since it was defined in a script.
            NoEngine: No server is known here.
            ServerNotReady: The server is still loading the application.
            StoreError: The task could not be stored: the disk is full, or the store was damaged or removed.
        """
        return enqueue_one(self.definition, self._order, args, kwargs)

    async def aenqueue(self, *args: _P.args, **kwargs: _P.kwargs) -> TaskResult:
        """Do what `enqueue` does, without blocking the event loop."""
        return await in_pool(self.enqueue, *args, **kwargs)

    def enqueue_many(self, calls: Iterable[tuple[Any, ...] | Mapping[str, Any]]) -> list[TaskResult]:
        """Store one task for each call, all or none, in one transaction.

        Args:
            calls: The arguments of each call: a tuple of positional ones, or a mapping of named ones.

        Raises:
            TaskArgumentError: One of the calls is invalid. Nothing is stored.
            NoEngine, ServerNotReady, StoreError, InvalidTask: As for `enqueue`.
        """
        return enqueue(self.definition, self._order, _calls_of(calls))

    async def aenqueue_many(self, calls: Iterable[tuple[Any, ...] | Mapping[str, Any]]) -> list[TaskResult]:
        """Do what `enqueue_many` does, without blocking the event loop."""
        return await in_pool(self.enqueue_many, calls)

    def using(self, **options: Unpack[UsingKeywords]) -> Task[_P, _R_co]:
        """Return this task with other options. See `UsingKeywords`. Calls can be chained.

        Raises:
            InvalidTask: A value is invalid: a datetime without a time zone, for example.
            TargetError: The server does not have the target, or no task was declared with it.
            TypeError: There is no such option, or only the decorator has it.
        """
        given: dict[str, Any] = dict(options)
        for name in _OF_FUNCTION:
            if name in given:
                raise TypeError(f"{name}={given[name]!r:.200} is an option of the function. Pass it to @task.")
        order = self._order
        for name in ("run_after", "expires"):
            if name in given and (value := given.pop(name)) is not None:
                instant(name, value, now())
                order = replace(order, **{name: value})
        changed = checked_options(order.options, given)
        if "target" in given:
            check_woken(changed.target)
        return Task(self.definition, replace(order, options=changed, overrides=_overrides(self.definition, changed)))

    def get_result(self, task_id: str) -> TaskResult:
        """Return the task of an id.

        Raises:
            TaskNotFound: There is no such task, or it was removed since its end.
            InvalidTask: It is a task of another function.
        """
        found = get_result(task_id)
        if found.name != self.name:
            raise InvalidTask(f"task {task_id} calls {found.name}, not {self.name}. Use heliograph.get_result().")
        return found

    async def aget_result(self, task_id: str) -> TaskResult:
        """Do what `get_result` does, without blocking the event loop."""
        return await in_pool(self.get_result, task_id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Task) and (other.definition, other._order) == (self.definition, self._order)

    def __hash__(self) -> int:
        return hash((Task, self.name))

    def __repr__(self) -> str:
        return f"Task({self.name!r}, target={self.options.target!r})"

    def __reduce__(self) -> str:
        return cast("str", self.func.__qualname__)


ADAPTERS: list[Callable[[object], Task[..., Any] | None]] = []
"""Functions that turn a task of another library into one of this class. None: it is no such task."""


def as_task(value: object) -> Task[..., Any] | None:
    """Return a task, also for one of another library. None: it is no task."""
    if isinstance(value, Task):
        return cast("Task[..., Any]", value)
    return next((found for adapt in ADAPTERS if (found := adapt(value)) is not None), None)


def _calls_of(calls: Iterable[tuple[Any, ...] | Mapping[str, Any]]) -> list[tuple[tuple[Any, ...], Mapping[str, Any]]]:
    try:
        found = iter(calls)
    except TypeError:
        raise InvalidTask(f"invalid calls: {calls!r:.200}. Pass an iterable of tuples or mappings.") from None
    return [_call_of(number, call) for number, call in enumerate(found)]


def _call_of(number: int, call: tuple[Any, ...] | Mapping[str, Any]) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    if isinstance(call, Mapping):
        return (), call
    if isinstance(call, tuple):  # pyright: ignore[reportUnnecessaryIsInstance]
        return call, {}
    text = (
        f"invalid call: calls[{number}] is {call!r:.200}. Pass a tuple of positional or a mapping of named arguments."
    )
    raise InvalidTask(text)


def _overrides(definition: TaskDefinition, options: TaskOptions) -> bytes:
    """Return the options that differ from those of the function, as JSON."""
    own = {name: getattr(options, name) for name in _OVERRIDABLE}
    changed = {name: value for name, value in own.items() if value != getattr(definition.options, name)}
    return msgspec.json.encode(Overrides(**changed)) if changed else b""
