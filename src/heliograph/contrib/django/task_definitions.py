"""The functions of Django's tasks, in the registry of all tasks of this process."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from asgiref.sync import async_to_sync, sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.db import close_old_connections

from heliograph import engines
from heliograph._core.tasks.options import TaskOptions
from heliograph._core.tasks.values import Claim, Outcome, TaskRow, TaskStatus
from heliograph.contrib.django import task_api
from heliograph.contrib.django.task_arguments import JsonCodec, encode_return_value
from heliograph.contrib.django.task_results import change, error_of, kept_of, local, result_of, task_of, unknown_task
from heliograph.exceptions import InvalidTask, TaskNotFound
from heliograph.runtime.task_hosting import register
from heliograph.tasks.context import TaskContext
from heliograph.tasks.hosting import now, store
from heliograph.tasks.registry import TASKS, TaskDefinition, define
from heliograph.tasks.results import TaskResult

_LOG = logging.getLogger("heliograph.tasks")


@dataclass(frozen=True, eq=False)
class DjangoDefinition(TaskDefinition):
    """A function that is a task of Django. Its attempts send Django's signals."""

    task: task_api.Task = field(kw_only=True)
    """The task as it was declared."""

    queue_targets: tuple[str, ...] = ()
    """The targets of all queues, since `using(queue_name=...)` may choose any."""

    running: dict[str, task_api.TaskResult] = field(default_factory=dict[str, task_api.TaskResult])
    """Id -> the result that a running attempt shows to its function."""

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.options.target, *self.queue_targets)))

    is_coroutine_function: bool = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "is_coroutine_function", self.is_async)
        object.__setattr__(self, "is_async", False)  # call() is none

    def call(self, context: TaskContext, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        result = self._begin(context)
        args = self._arguments(result, args)
        if not self.is_coroutine_function:
            task_api.task_started.send_robust(sender_of(result), task_result=result)
            return self.func(*args, **kwargs)
        # In a test, this thread may be the one in which asgiref runs synchronous code for an event loop.
        call = async_to_sync(self._async_call) if _runs_here() else self._async_call
        return call(result, args, kwargs)

    def encode_value(self, value: object) -> bytes:
        return encode_return_value(value)

    def enqueued(self, result: TaskResult) -> None:
        found = self.result_of(result.row)
        task_api.task_enqueued.send_robust(sender_of(found), task_result=found)

    def ended(self, claim: Claim, outcome: Outcome, error: BaseException | None) -> None:
        result = self.running.pop(claim.id, None)
        if outcome.status is TaskStatus.READY:
            return
        try:
            result = result or self._stored_result(claim.id)
            _complete(result, outcome)
            _send_finished(result, error)
        except Exception:  # noqa: BLE001 - the attempt has ended, and the process goes on
            _LOG.exception("Cannot tell Django about the end of task %s (%s)", claim.name, claim.id)

    async def _async_call(self, result: task_api.TaskResult, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        await sync_to_async(close_old_connections)()  # in the thread in which Django's async methods use connections
        await task_api.task_started.asend_robust(sender_of(result), task_result=result)
        return await self.func(*args, **kwargs)

    def _arguments(self, result: task_api.TaskResult, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (task_api.TaskContext(task_result=result), *args) if self.takes_context else args

    def _begin(self, context: TaskContext) -> task_api.TaskResult:
        result = self.running[context.id] = self._stored_result(context.id)
        change(result, status=task_api.TaskResultStatus.RUNNING)
        return result

    def _stored_result(self, task_id: str) -> task_api.TaskResult:
        row = store().get(task_id)
        if row is None:
            raise TaskNotFound(task_id)
        return self.result_of(row)

    def result_of(self, row: TaskRow) -> task_api.TaskResult:
        """Return a row of this function as Django's result. `heliograph enqueue` makes rows without Django's part."""
        kept = kept_of(row) or {"backend": self.task.backend, "queue": self.task.queue_name}
        return result_of(row, task_of(row, kept, self.task))


def declare(task: task_api.Task, options: TaskOptions, queue_targets: Callable[[], tuple[str, ...]]) -> TaskDefinition:
    """Return the definition of the function of a task. The first task of a function registers it.

    Raises:
        InvalidTask: The function cannot be a task, or is a task of heliograph already.
        TargetError: The server does not have a target.
        RegistrationError: This process cannot register for the other processes.
    """
    found = define(task.func, None, options)
    known = TASKS.definitions.get(found.name)
    if isinstance(known, DjangoDefinition) and known.func is task.func:
        return known
    if known is not None and not isinstance(known, DjangoDefinition):
        raise InvalidTask(f"duplicate task: {found.name} is a task of heliograph already. Use one of the decorators.")
    codec = JsonCodec(task.func, found.name, takes_context=task.takes_context)
    definition = DjangoDefinition(
        found.name,
        task.func,
        options,
        task.takes_context,
        codec,
        found.unfindable,
        task=task,
        queue_targets=queue_targets(),
    )
    register(definition)
    return definition


def result_of_row(row: TaskRow, kind: type[task_api.Task]) -> task_api.TaskResult | None:
    """Return a row as Django's result, None if it is not a task of Django. `kind`: the class for unknown functions."""
    definition = _definition_of(row.name)
    if definition is not None:
        return definition.result_of(row)
    kept = kept_of(row)
    return None if kept is None else result_of(row, task_of(row, kept, unknown_task(row.name, kind)))


def sender_of(result: task_api.TaskResult) -> type[task_api.BaseTaskBackend]:
    """Return the sender of the signals about a task: the class of its backend, which the settings may not have now."""
    try:
        return type(task_api.task_backends[result.backend])
    except ImproperlyConfigured:
        return task_api.BaseTaskBackend


def _definition_of(name: str) -> DjangoDefinition | None:
    found = TASKS.definitions.get(name)
    if found is None:
        try:
            importlib.import_module(name.partition(":")[0])
        except Exception:  # noqa: BLE001 - the code may have no such module any longer, or it needs another process
            return None
        found = TASKS.definitions.get(name)
    return found if isinstance(found, DjangoDefinition) else None


def _runs_here() -> bool:
    """Return True if an inline engine runs the task, in a thread without an event loop."""
    if engines.current().name != "inline":
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False


def _complete(result: task_api.TaskResult, outcome: Outcome) -> None:
    """Bring a result to the end of its attempt."""
    if result.is_finished:
        return
    succeeded = outcome.status is TaskStatus.SUCCESSFUL
    if outcome.error is not None:
        result.errors.append(error_of(outcome.error))
    change(
        result,
        finished_at=local(now()),
        status=task_api.TaskResultStatus.SUCCESSFUL if succeeded else task_api.TaskResultStatus.FAILED,
    )
    if succeeded:
        change(result, _return_value=None if outcome.value is None else msgspec.json.decode(outcome.value))


def _send_finished(result: task_api.TaskResult, error: BaseException | None) -> None:
    """Send the signal. Receivers find the exception in `sys.exc_info()`."""
    if error is None:
        task_api.task_finished.send_robust(sender_of(result), task_result=result)
        return
    frames = error.__traceback__
    try:
        raise error  # noqa: TRY301 - it becomes the current exception
    except BaseException:  # noqa: BLE001 - the attempt has dealt with it
        error.__traceback__ = frames  # without the frame of this function
        task_api.task_finished.send_robust(sender_of(result), task_result=result)
