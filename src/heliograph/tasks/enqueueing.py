"""From a call of a task to a row in the store, and a wake-up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from heliograph._core.tasks.options import TaskOptions
from heliograph._core.tasks.times import Moment, instant
from heliograph._core.tasks.values import NewTask, Stored, TaskRow, TaskStatus
from heliograph.exceptions import InvalidTask, TaskArgumentError
from heliograph.models import MICROSECONDS
from heliograph.tasks.hosting import now, store, wake
from heliograph.tasks.registry import TaskDefinition
from heliograph.tasks.results import TaskResult
from heliograph.tasks.sizes import max_bytes
from heliograph.tasks.storing import put

_LOG = logging.getLogger("heliograph.tasks")

MIN_TTL = 10 * MICROSECONDS
"""Microseconds for which a finished task is kept at least. `wait()` reads it after its end."""


@dataclass(frozen=True, slots=True)
class Order:
    """The options with which a task is enqueued: those of its function, with the changes of `using()`."""

    options: TaskOptions
    run_after: Moment | None = None
    expires: Moment | None = None
    """None: as the options of the function say."""
    overrides: bytes = b""
    tick: str = ""


def enqueue_one(
    definition: TaskDefinition,
    order: Order,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    announce: Callable[[TaskResult], object] | None = None,
) -> TaskResult:
    """Store one task, and wake the processes that may run it. See `enqueue`."""
    _check(definition)
    time = now()
    task = _new(definition, order, args, kwargs, time)
    stored = put((task,), time)[0]
    try:
        result = _result(task, stored, time)
        if announce is not None and stored.is_new:
            announce(result)
    finally:
        wake(task.target, task.run_after if task.run_after > time else 0)
    if _LOG.isEnabledFor(logging.DEBUG):
        _LOG.debug("Enqueued %s: %s", definition.name, stored.id)
    return result


def enqueue(
    definition: TaskDefinition, order: Order, calls: Iterable[tuple[Sequence[Any], Mapping[str, Any]]]
) -> list[TaskResult]:
    """Store one task for each call, all or none, and wake the processes that may run them.

    Args:
        definition: The function.
        order: The options of these tasks.
        calls: The arguments of each call.

    Raises:
        TaskArgumentError: An argument cannot be kept.
        InvalidTask: Other processes would not find the function, or a time is invalid.
        StoreError: The store cannot be written.
    """
    _check(definition)
    time = now()
    new = _new_of_each(definition, order, calls, time)
    stored = put(new, time)
    try:
        results = [_result(task, known, time) for task, known in zip(new, stored, strict=True)]
    finally:
        if new:
            wake(order.options.target, new[0].run_after if new[0].run_after > time else 0)
    if _LOG.isEnabledFor(logging.DEBUG):
        _LOG.debug("Enqueued %s: %s", definition.name, ", ".join(result.id for result in results))
    return results


def _check(definition: TaskDefinition) -> None:
    if definition.unfindable:
        raise InvalidTask(f"cannot enqueue {definition.name}: {definition.unfindable}. Move it into a module.", "name")


def _new(
    definition: TaskDefinition, order: Order, args: Sequence[Any], kwargs: Mapping[str, Any], time: int
) -> NewTask:
    options = order.options
    return NewTask(
        definition.name,
        options.target,
        definition.codec.encode(tuple(args), kwargs, max_bytes()),
        options.priority,
        0 if order.run_after is None else instant("run_after", order.run_after, time),
        _expires(order, time),
        options.unique,
        options.redeliver,
        order.overrides,
        order.tick,
        max(int(options.result_ttl * MICROSECONDS), MIN_TTL),
    )


def _new_of_each(
    definition: TaskDefinition, order: Order, calls: Iterable[tuple[Sequence[Any], Mapping[str, Any]]], time: int
) -> list[NewTask]:
    """Return the rows of several calls. An error names the number of the call."""
    new: list[NewTask] = []
    try:
        for args, kwargs in calls:
            new.append(_new(definition, order, args, kwargs, time))
    except TaskArgumentError as error:
        raise TaskArgumentError(f"calls[{len(new)}]: {error}", error.argument) from error.__cause__
    return new


def _expires(order: Order, time: int) -> int:
    if order.expires is not None:
        return instant("expires", order.expires, time) or 1  # 0 stands for no limit
    return time + int(order.options.expires * MICROSECONDS) if order.options.expires else 0


def _result(task: NewTask, stored: Stored, time: int) -> TaskResult:
    """Return the result of a task. One that was there before is read, a new one is known."""
    if not stored.is_new:
        known = store().get(stored.id)
        if known is not None:
            return TaskResult(stored.id, known)
    return TaskResult(stored.id, partial(_new_row, stored.id, task, time))


def _new_row(task_id: str, task: NewTask, time: int) -> TaskRow:
    return TaskRow(
        id=task_id,
        name=task.name,
        target=task.target,
        arguments=task.arguments,
        status=TaskStatus.READY,
        priority=task.priority,
        run_after=task.run_after,
        expires=task.expires,
        unique=task.unique,
        redeliver=task.redeliver,
        overrides=task.overrides,
        attempts=0,
        deaths=0,
        enqueued_at=time,
        first_attempt_at=0,
        last_attempt_at=0,
        finished_at=0,
        workers=(),
        value=None,
        errors=(),
        progress=None,
    )
