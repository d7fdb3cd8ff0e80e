"""Rows of the store as Django's results, and the part of a task that only Django knows, which its row keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, NoReturn

import msgspec
from django.conf import settings
from django.utils import timezone

from heliograph._core.tasks.times import moment
from heliograph._core.tasks.values import TaskRow, TaskStatus
from heliograph.contrib.django import task_api
from heliograph.contrib.django.task_class import own_options
from heliograph.exceptions import TaskNotFound
from heliograph.tasks.sameness import ENCODER

_KEY = "django"
"""Key of `TaskRow.overrides` that marks Django's tasks."""

_STATUSES = {
    TaskStatus.READY: task_api.TaskResultStatus.READY,
    TaskStatus.RUNNING: task_api.TaskResultStatus.RUNNING,
    TaskStatus.SUCCESSFUL: task_api.TaskResultStatus.SUCCESSFUL,
}
"""All other statuses are FAILED for Django."""

_REASONS = {
    TaskStatus.DEAD: ("heliograph.exceptions.ProcessEnded", "The task killed several processes in a row."),
    TaskStatus.CANCELLED: ("heliograph.exceptions.TaskCancelled", "The task was cancelled before it began."),
    TaskStatus.EXPIRED: ("heliograph.exceptions.TaskExpired", "The time in which the task had to begin had passed."),
}
"""The error that tells why a task is FAILED, for statuses that Django does not have."""


def overrides_of(task: task_api.Task, changed: Mapping[str, Any]) -> bytes:
    """Return what the row keeps of a task: the options that differ from those of its function, and Django's part."""
    kept: dict[str, Any] = {"backend": task.backend, "queue": task.queue_name}
    if task.run_after is not None:
        kept["run_after"] = task.run_after.isoformat()
    if own := own_options(task):
        kept["options"] = own
    return ENCODER.encode({**changed, _KEY: kept})


def kept_of(row: TaskRow) -> dict[str, Any] | None:
    """Return Django's part of a row. None: it is not a task of Django."""
    kept: dict[str, Any] | None = msgspec.json.decode(row.overrides).get(_KEY) if row.overrides else None
    return kept


def task_of(row: TaskRow, kept: Mapping[str, Any], base: task_api.Task) -> task_api.Task:
    """Return the task that was enqueued. The settings may have changed since, so it is not validated again.

    `base` is a task of the same function.
    """
    run_after = kept.get("run_after")
    values: dict[str, Any] = {
        **{field.name: getattr(base, field.name) for field in fields(base)},
        **dict.fromkeys(own_options(base)),
        **kept.get("options", {}),
        "priority": row.priority,
        "backend": kept["backend"],
        "queue_name": kept["queue"],
        "run_after": None if run_after is None else datetime.fromisoformat(run_after),
    }
    return _unchecked(type(base), values)


def unknown_task(name: str, kind: type[task_api.Task]) -> task_api.Task:
    """Return a task that stands for a function which this code does not have."""
    values = {field.name: field.default for field in fields(kind)}  # pyright: ignore[reportUnknownMemberType]
    module, _, qualname = name.partition(":")
    return _unchecked(kind, {**values, "func": _missing(module, qualname), "takes_context": False})


def result_of(row: TaskRow, task: task_api.Task) -> task_api.TaskResult:
    """Return a row as Django's result."""
    positional, named = msgspec.json.decode(row.arguments)
    result = task_api.TaskResult(
        task=task,
        id=row.id,
        status=status_of(row.status),
        enqueued_at=local(row.enqueued_at),
        started_at=local(row.first_attempt_at),
        last_attempted_at=local(row.last_attempt_at),
        finished_at=local(row.finished_at),
        args=positional,
        kwargs=named,
        backend=task.backend,
        errors=[*map(error_of, row.errors), *_reason(row.status)],
        worker_ids=list(row.workers),
    )
    if row.value is not None and row.status is TaskStatus.SUCCESSFUL:
        change(result, _return_value=msgspec.json.decode(row.value))
    return result


def change(result: task_api.TaskResult, **values: object) -> None:
    """Change a result, which is frozen for its users."""
    for name, value in values.items():
        object.__setattr__(result, name, value)


def status_of(status: TaskStatus) -> task_api.TaskResultStatus:
    """Return the status that Django has for one of heliograph."""
    return _STATUSES.get(status, task_api.TaskResultStatus.FAILED)


def error_of(data: bytes) -> task_api.TaskError:
    """Return the error of an attempt."""
    error = msgspec.json.decode(data)
    return task_api.TaskError(exception_class_path=error["type"], traceback=error["traceback"])


def local(microseconds: int) -> datetime | None:
    """Return a time as Django has it: with a zone if USE_TZ is True. None for 0, which stands for no time."""
    time = moment(microseconds)
    return time if time is None or settings.USE_TZ else timezone.make_naive(time)


def _reason(status: TaskStatus) -> list[task_api.TaskError]:
    if status not in _REASONS:
        return []
    kind, text = _REASONS[status]
    return [task_api.TaskError(exception_class_path=kind, traceback=f"{kind}: {text}\n")]


def _unchecked(kind: type[task_api.Task], values: Mapping[str, Any]) -> task_api.Task:
    task = object.__new__(kind)
    for name, value in values.items():
        object.__setattr__(task, name, value)
    return task


def _missing(module: str, qualname: str) -> Callable[..., Any]:
    def missing(*_args: object, **_kwargs: object) -> NoReturn:
        raise TaskNotFound(f"{module}:{qualname}")

    missing.__module__, missing.__qualname__, missing.__name__ = module, qualname, qualname.rpartition(".")[2]
    return missing
